"""Six screenshots of a desk: two dashboards, three terminals, a letter box."""

from __future__ import annotations

from image_canvas import Canvas, Drawn, Ink
from image_plot import Plot, legend

_NIGHT = "#0f1419"
_PALE, _DIM = "#d5dbe1", "#7d8894"


def shop_dashboard() -> Drawn:
    """Draw how the shops of a chain are doing."""
    canvas = Canvas(1440, 900, "#f2f4f8")
    canvas.box((0, 0, 210, 900), "#1e2a3a")
    canvas.text((30, 34), "麦田烘焙", Ink(26, "#ffffff", "bold"))
    menu = ["经营总览", "门店管理", "商品分析", "会员营销", "库存预警", "系统设置"]
    canvas.box((0, 106, 210, 158), "#31455f")
    canvas.texts((44, 118), menu, Ink(19, "#cfd8e3"), 58)
    canvas.text((250, 30), "经营总览", Ink(28, face="bold"))
    canvas.text((1400, 36), "2026-03-01    更新于 21:58", Ink(18, "#8a94a3", anchor="ra"))
    cards = [
        ("今日营业额", "¥ 86,420", "较昨日 +12.4%", "#2f9e60"),
        ("订单数", "2,317", "较昨日 +8.1%", "#2f9e60"),
        ("客单价", "¥ 37.3", "较昨日 +3.9%", "#2f9e60"),
        ("退款率", "1.8%", "较昨日 +0.6%", "#d64545"),
    ]
    for number, (name, value, change, colour) in enumerate(cards):
        left = 250 + 292 * number
        canvas.box((left, 90, left + 272, 220), "#ffffff", 10)
        canvas.text((left + 22, 106), name, Ink(18, "#7a8594"))
        canvas.text((left + 22, 134), value, Ink(30, "#1e2a3a", "bold"))
        canvas.text((left + 22, 182), change, Ink(17, colour))
    canvas.box((250, 244, 940, 560), "#ffffff", 10)
    canvas.text((274, 258), "分时营业额（元）", Ink(20, face="bold"))
    plot = Plot(canvas, (330, 310, 915, 515), (6.3, 21.7), (0, 12000))
    plot.levels([(value, str(value)) for value in range(0, 12001, 3000)], Ink(15, _DIM))
    plot.below([(hour, f"{hour}点") for hour in range(7, 22, 2)], Ink(15, _DIM))
    sales = [2100, 8900, 6400, 4100, 5200, 7800, 6100, 4900, 5600, 7100, 9800, 10900, 4300, 2100, 1120]
    for hour, sold in enumerate(sales, 7):
        plot.bar(hour, sold, 24, "#f0a04b" if sold > 9500 else "#5b8def")
    canvas.box((964, 244, 1396, 560), "#ffffff", 10)
    canvas.text((988, 258), "热销商品 TOP 5", Ink(20, face="bold"))
    goods = [
        ("海盐可颂", "412"),
        ("奶油泡芙", "356"),
        ("全麦吐司", "298"),
        ("蓝莓贝果", "241"),
        ("肉松小贝", "187"),
    ]
    canvas.table([(988, "la"), (1370, "ra")], 312, goods, Ink(19, "#3a4656"), 48)
    canvas.box((250, 584, 1396, 870), "#ffffff", 10)
    columns = [(274, "la"), (610, "ra"), (800, "ra"), (1010, "ra"), (1240, "la")]
    canvas.table(columns, 602, [("门店", "营业额", "订单", "环比", "店长")], Ink(18, "#8a94a3"), 40)
    rows = [
        ("人民广场店", "21,860", "573", "+15.2%", "沈佳怡"),
        ("五道口店", "18,945", "512", "+9.7%", "郭磊"),
        ("大学城店", "16,320", "498", "-4.3%", "曾晓雯"),
        ("机场航站楼店", "15,105", "367", "+22.6%", "汪志远"),
        ("滨江天地店", "14,190", "367", "+6.0%", "罗敏"),
    ]
    canvas.table(columns, 652, rows, Ink(18, "#3a4656"), 43)
    return canvas.finished()


def latency_dashboard() -> Drawn:
    """Draw how long a service takes to answer, on a dark screen at night."""
    canvas = Canvas(1440, 900, _NIGHT)
    canvas.box((0, 0, 1440, 60), "#181f27")
    canvas.text((30, 16), "checkout-api / production", Ink(22, _PALE, "dejavu-bold"))
    canvas.text((1410, 20), "Last 6 hours    Refresh 30s", Ink(17, _DIM, "dejavu", "ra"))
    tiles = [
        ("p50 latency", "84 ms", "#73bf69"),
        ("p99 latency", "4.72 s", "#f2495c"),
        ("Error rate", "3.9 %", "#ff9830"),
        ("Requests", "1.26k/s", "#73bf69"),
    ]
    for number, (name, value, colour) in enumerate(tiles):
        left = 24 + 352 * number
        canvas.box((left, 84, left + 336, 214), "#181f27", 4)
        canvas.text((left + 18, 98), name, Ink(17, _DIM, "dejavu"))
        canvas.text((left + 168, 166), value, Ink(44, colour, "dejavu-bold", "mm"))
    canvas.box((24, 234, 920, 640), "#181f27", 4)
    canvas.text((42, 248), "Latency percentiles", Ink(18, _PALE, "dejavu-bold"))
    plot = Plot(canvas, (110, 300, 900, 550), (18, 24), (0, 6), grid="#2a333d")
    plot.levels([(value, f"{value} s") for value in range(0, 7, 2)], Ink(15, _DIM, "dejavu"))
    plot.below([(hour, f"{hour}:00") for hour in range(18, 24)], Ink(15, _DIM, "dejavu"))
    minutes = [18 + step / 20 for step in range(116)]
    for colour, quiet, loud in (("#f2495c", 0.5, 4.4), ("#ff9830", 0.3, 1.3), ("#73bf69", 0.1, 0.05)):
        points = [
            (
                m,
                quiet
                + 0.06 * ((step * 7) % 5) * quiet
                + (loud if m > 22.4 else 0) * (0.9 + 0.1 * ((step * 3) % 4)),
            )
            for step, m in enumerate(minutes)
        ]
        plot.curve(points, colour, 2)
    canvas.dashes((plot.x(22.4), 300), (plot.x(22.4), 550), "#8ab8ff")
    canvas.text((plot.x(22.4) - 10, 306), "deploy v2.31.0", Ink(16, "#8ab8ff", "dejavu", "ra"))
    entries = [("p99", "#f2495c"), ("p95", "#ff9830"), ("p50", "#73bf69")]
    legend(canvas, (110, 606), entries, Ink(16, _PALE, "dejavu"))
    canvas.box((940, 234, 1416, 640), "#181f27", 4)
    canvas.text((958, 248), "Slowest endpoints (p99)", Ink(18, _PALE, "dejavu-bold"))
    rows = [
        ("POST /v1/payments", "6.10 s"),
        ("POST /v1/cart/merge", "3.84 s"),
        ("GET /v1/vouchers", "2.27 s"),
        ("GET /v1/cart", "0.41 s"),
        ("GET /healthz", "0.01 s"),
    ]
    canvas.table([(958, "la"), (1396, "ra")], 306, rows, Ink(17, _PALE, "mono"), 58)
    canvas.box((24, 660, 1416, 876), "#181f27", 4)
    canvas.text((42, 674), "Alerts", Ink(18, _PALE, "dejavu-bold"))
    alerts = [
        ("23:41", "FIRING", "CheckoutP99High: above 2 s for 15 minutes"),
        ("23:39", "FIRING", "DbPoolExhausted: 100 of 100 connections busy"),
        ("22:58", "RESOLVED", "QueueLag: consumer group invoices"),
    ]
    canvas.table([(42, "la"), (130, "la"), (270, "la")], 720, alerts, Ink(17, "#ffb3ba", "mono"), 46)
    return canvas.finished()


def failing_tests() -> Drawn:
    """Draw a test run that fails."""
    lines = [
        ("$ pytest tests/billing -q", "#ffffff"),
        ("...........F......F....                               [100%]", _PALE),
        ("======================== FAILURES =========================", "#ff6b68"),
        ("_____________ test_leap_day_invoice_is_prorated ____________", "#ff6b68"),
        ("    def test_leap_day_invoice_is_prorated():", _PALE),
        ("        bill = prorate(plan=YEARLY, start=date(2028, 2, 29))", _PALE),
        (">       assert bill.days == 366", "#ffd866"),
        ("E       AssertionError: assert 365 == 366", "#ff6b68"),
        ("tests/billing/test_prorate.py:71: AssertionError", _DIM),
        ("_______________ test_refund_rounds_half_even _______________", "#ff6b68"),
        (">       assert refund(Decimal('10.125')) == Decimal('10.12')", "#ffd866"),
        ("E       assert Decimal('10.13') == Decimal('10.12')", "#ff6b68"),
        ("================ 2 failed, 21 passed in 3.48s ==============", "#ff6b68"),
        ("$ git blame -L 40,52 billing/prorate.py", "#ffffff"),
    ]
    return _terminal("~/src/ledger (main)", lines, (1200, 640))


def full_disk() -> Drawn:
    """Draw a machine without space."""
    lines = [
        ("ops@media-03:~$ df -h", "#a6e22e"),
        ("Filesystem      Size  Used Avail Use% Mounted on", _PALE),
        ("/dev/nvme0n1p2   98G   41G   53G  44% /", _PALE),
        ("/dev/nvme1n1    3.6T  3.6T     0 100% /var/lib/transcode", "#ff6b68"),
        ("tmpfs            32G  2.1M   32G   1% /run", _PALE),
        ("ops@media-03:~$ du -sh /var/lib/transcode/* | sort -h | tail -4", "#a6e22e"),
        ("41G     /var/lib/transcode/thumbs", _PALE),
        ("188G    /var/lib/transcode/hls", _PALE),
        ("402G    /var/lib/transcode/uploads", _PALE),
        ("2.9T    /var/lib/transcode/tmp", "#ffd866"),
        ("ops@media-03:~$ journalctl -u transcoder -n 3", "#a6e22e"),
        ("ffmpeg[20817]: av_interleaved_write_frame(): No space left on device", "#ff6b68"),
        ("ffmpeg[20817]: Conversion failed!", "#ff6b68"),
        ("systemd[1]: transcoder.service: Failed with result 'exit-code'.", "#ff6b68"),
        ("ops@media-03:~$ sudo find tmp -mtime +7 -delete", "#a6e22e"),
    ]
    return _terminal("ssh media-03", lines, (1200, 680))


def rolled_back_release() -> Drawn:
    """Draw a release that was taken back, in Chinese and English."""
    lines = [
        ("$ ./deploy.sh order-service v3.8.2 --env prod", "#ffffff"),
        ("[1/6] 拉取镜像 registry/order-service:v3.8.2 ... 完成", "#9ad29a"),
        ("[2/6] 数据库迁移 20260210_add_coupon_index ... 完成", "#9ad29a"),
        ("[3/6] 灰度发布 10% 流量 ... 完成", "#9ad29a"),
        ("[4/6] 健康检查 10.12.4.31:8080/actuator/health", "#9ad29a"),
        ("      第 1 次 超时 (5s)", "#ffd866"),
        ("      第 2 次 超时 (5s)", "#ffd866"),
        ("      第 3 次 HTTP 503 Service Unavailable", "#ff6b68"),
        ("错误：健康检查失败，新实例未就绪", "#ff6b68"),
        ("原因：Redis 连接被拒绝 (redis-cart:6379)", "#ff6b68"),
        ("[回滚] 正在恢复到 v3.8.1 ...", "#7cc7ff"),
        ("[回滚] 已完成，耗时 47 秒，影响订单 132 笔", "#7cc7ff"),
        ("已通知值班人员：陈默、林可", _PALE),
    ]
    return _terminal("发布机 — zsh", lines, (1180, 640), "wide", 21)


def _terminal(
    title: str, lines: list[tuple[str, str]], size: tuple[int, int], face: str = "mono", points: int = 20
) -> Drawn:
    width, height = size
    canvas = Canvas(width, height, "#1b1f24")
    canvas.box((0, 0, width, 46), "#34383e")
    for number, colour in enumerate(("#ff5f57", "#febc2e", "#28c840")):
        canvas.disc((28 + 28 * number, 23), 8, colour)
    canvas.text((width / 2, 23), title, Ink(17, "#c4c9cf", "sans", "mm"))
    step = (height - 84) / len(lines)
    for number, (line, colour) in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        left = 24 + indent * points * (0.6 if face == "mono" else 0.5)
        canvas.text((left, 68 + step * number), line.lstrip(), Ink(points, colour, face))
    return canvas.finished()


def interview_letter() -> Drawn:
    """Draw a letter that invites to an interview."""
    canvas = Canvas(1280, 740)
    canvas.box((0, 0, 360, 740), "#f3f5f7")
    canvas.text((28, 24), "Inbox", Ink(28, face="dejavu-bold"))
    letters = [
        ("Maren Okafor", "Your interview at Tidewater Labs", "08:41"),
        ("Library", "Two items are due on Friday", "07:15"),
        ("Priya N.", "Re: sofa, still available?", "Mon"),
        ("CityGas", "Meter reading reminder", "Mon"),
        ("Trail Club", "Sunday hike moved to 9:30", "Sun"),
    ]
    canvas.box((0, 84, 360, 174), "#dbe7fb")
    for number, (sender, subject, when) in enumerate(letters):
        top = 98 + 92 * number
        canvas.text((28, top), sender, Ink(18, face="dejavu-bold"))
        canvas.text((338, top), when, Ink(15, "#7b828a", "dejavu", "ra"))
        canvas.text((28, top + 34), subject, Ink(16, "#545b63", "condensed", room=320))
    canvas.text((400, 32), "Your interview at Tidewater Labs", Ink(28, face="dejavu-bold"))
    canvas.disc((424, 122), 24, "#5b7fde")
    canvas.text((424, 122), "M", Ink(24, "#ffffff", "dejavu-bold", "mm"))
    canvas.text((464, 96), "Maren Okafor <maren@tidewater.example>", Ink(18, face="dejavu"))
    canvas.text((464, 126), "Tuesday, 14 April 2026, 08:41", Ink(16, "#7b828a", "dejavu"))
    below = 190.0
    for text in (
        "Hello Jonas,",
        (
            "thank you for your application as a marine data engineer. We would like to meet you on "
            "Thursday, 23 April at 13:30 in our office at Pier 7, second floor."
        ),
        (
            "The day has three parts: a walk through your buoy telemetry project (45 min), pair "
            "programming in Rust (60 min) and coffee with the team."
        ),
        (
            "Please bring a photo ID for the front desk, and tell me whether the travel refund should go "
            "to the account you gave us."
        ),
        "Kind regards,",
        "Maren Okafor, People team",
    ):
        below = canvas.paragraph((400, below), text, Ink(20, "#2b3036", "dejavu"), 830, 32) + 16
    for number, (name, colour) in enumerate((("Accept", "#2f7d4f"), ("Propose new time", "#5b6670"))):
        left = 400 + 150 * number
        canvas.box((left, below + 20, left + (130 if number == 0 else 250), below + 70), colour, 8)
        canvas.text(
            (left + (65 if number == 0 else 125), below + 45), name, Ink(18, "#ffffff", "dejavu-bold", "mm")
        )
    return canvas.finished()


SCREENS = {
    each.__name__: each
    for each in (
        shop_dashboard,
        latency_dashboard,
        failing_tests,
        full_disk,
        rolled_back_release,
        interview_letter,
    )
}
