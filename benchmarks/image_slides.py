"""Six pictures for many: four slides and two posters."""

from __future__ import annotations

from image_camera import Shot, photographed
from image_canvas import Canvas, Drawn, Ink
from image_plot import Plot

_BULLET = 7


def _points(
    canvas: Canvas, at: tuple[float, float], points: list[str], ink: Ink, width: int, colour: str
) -> float:
    left, top = at
    for point in points:
        canvas.disc((left + _BULLET, top + ink.size * 0.72), _BULLET, colour)
        top = canvas.paragraph((left + 34, top), point, ink, width - 34, ink.size * 1.45) + ink.size * 0.7
    return top


def onboarding_churn() -> Drawn:
    """Draw where new users are lost."""
    canvas = Canvas(1280, 720)
    canvas.box((0, 0, 18, 720), "#e4572e")
    canvas.text((70, 46), "Where we lose new users", Ink(42, "#17202a", "dejavu-bold"))
    canvas.text((70, 112), "Onboarding churn by day, cohort of February", Ink(22, "#7b8794", "dejavu"))
    plot = Plot(canvas, (110, 200, 640, 600), (0.4, 7.6), (0, 50))
    ticks = [(value, f"{value}%") for value in range(0, 51, 10)]
    plot.levels(ticks, Ink(17, "#7b8794", "dejavu"))
    plot.below([(day, f"Day {day}") for day in range(1, 8)], Ink(16, "#4a5560", "dejavu"))
    for day, share in enumerate([12, 38, 9, 6, 5, 3, 2], 1):
        plot.bar(day, share, 50, "#e4572e" if share > 30 else "#b9c4cf")
        canvas.text((plot.x(day), plot.y(share) - 28), f"{share}%", Ink(18, "#17202a", "dejavu-bold", "ma"))
    points = [
        "Day 2 is the cliff: people are asked to invite teammates before they saw any value",
        "Teams that import a sheet first stay twice as long",
        "Proposal: move the invite behind the first report",
    ]
    _points(canvas, (710, 220), points, Ink(24, "#2b3640", "dejavu"), 510, "#e4572e")
    canvas.text((1230, 672), "Growth review / 7", Ink(16, "#9aa5b1", "dejavu", "ra"))
    return canvas.finished()


def quarter_roadmap() -> Drawn:
    """Draw what is to be built in a quarter."""
    canvas = Canvas(1280, 720, "#101828")
    canvas.text((60, 44), "Q2 roadmap", Ink(44, "#ffffff", "dejavu-bold"))
    canvas.text((1220, 62), "Mobile squad, draft 3", Ink(20, "#98a2b3", "dejavu", "ra"))
    columns = {
        "April": ("#7cd4fd", ["Offline drafts", "Crash-free above 99.7 %", "Drop Android 9"]),
        "May": ("#a6f4c5", ["Passkey sign-in", "Widget for iPad", "Arabic, right to left"]),
        "June": ("#fedf89", ["Shared albums beta", "New paywall test", "Summer freeze from 22nd"]),
    }
    for number, (month, (colour, cards)) in enumerate(columns.items()):
        left = 60 + 400 * number
        canvas.box((left, 140, left + 360, 196), colour, 8)
        canvas.text((left + 180, 168), month, Ink(26, "#101828", "dejavu-bold", "mm"))
        for row, card in enumerate(cards):
            top = 220 + 110 * row
            canvas.box((left, top, left + 360, top + 90), "#1d2939", 10)
            canvas.box((left, top, left + 8, top + 90), colour, 3)
            canvas.text((left + 28, top + 45), card, Ink(21, "#eaecf0", "dejavu", "lm", 320))
    canvas.text((60, 590), "Not now: desktop client, smart watch, stickers", Ink(21, "#f97066", "dejavu"))
    canvas.text((60, 640), "Owner: Noor. Decision on 31 March.", Ink(21, "#98a2b3", "dejavu"))
    return canvas.finished()


def data_platform() -> Drawn:
    """Draw the layers of a company's data."""
    canvas = Canvas(1280, 720, "#f7f9fc")
    canvas.box((0, 0, 1280, 96), "#12355b")
    canvas.text((50, 22), "数据中台总体架构", Ink(38, "#ffffff", "bold"))
    canvas.text((1230, 36), "12", Ink(24, "#b9cbe0", anchor="ra"))
    layers = [
        ("应用层", "#2a9d8f", ["经营驾驶舱", "精准营销", "供应链预测", "风控审批"]),
        ("服务层", "#4c86c6", ["统一接口网关", "指标平台", "标签画像", "自助取数"]),
        ("计算层", "#7b68b8", ["Flink 实时", "Spark 离线", "特征仓库", "任务调度"]),
        ("存储层", "#b26e63", ["数据湖 Iceberg", "数仓 Doris", "图数据库", "冷备归档"]),
    ]
    for row, (name, colour, parts) in enumerate(layers):
        top = 128 + 122 * row
        canvas.box((50, top, 210, top + 100), colour, 10)
        canvas.text((130, top + 50), name, Ink(28, "#ffffff", "bold", "mm"))
        for column, part in enumerate(parts):
            left = 232 + 198 * column
            canvas.box((left, top, left + 184, top + 100), "#ffffff", 10, colour, 2)
            canvas.text((left + 92, top + 50), part, Ink(24, "#2c3e50", anchor="mm", room=176))
    canvas.box((1036, 128, 1230, 594), "#ffe9d1", 12)
    canvas.text((1133, 150), "治理体系", Ink(26, "#a5561a", "bold", "ma"))
    canvas.texts(
        (1133, 220),
        ["元数据", "血缘分析", "质量稽核", "分级授权", "成本看板"],
        Ink(24, "#6b4a2b", anchor="ma"),
        70,
    )
    canvas.text(
        (50, 646), "目标：年底前下线 3 套旧报表系统，取数时长由 2 天缩短至 10 分钟", Ink(24, "#12355b")
    )
    return canvas.finished()


def phishing_training() -> Drawn:
    """Draw how to tell a letter that lies; a slide taken from the chair."""
    canvas = Canvas(1280, 720, "#fff8e6")
    canvas.text((60, 40), "三招识别钓鱼邮件", Ink(46, "#8a1c1c", "bold"))
    canvas.text((1220, 60), "信息安全月 · 全员必修", Ink(22, "#a07c3b", anchor="ra"))
    rows = [
        ("一看发件人", "域名多一个字母、用数字 0 代替字母 o，都要警惕"),
        ("二看语气", "“最后期限”“账号冻结”“补贴领取”——越催你越要慢"),
        ("三看链接", "鼠标悬停看真实网址，不扫来路不明的二维码"),
    ]
    for number, (name, text) in enumerate(rows):
        top = 140 + 140 * number
        canvas.box((60, top, 1220, top + 116), "#ffffff", 14, "#e8d5a3", 2)
        canvas.disc((124, top + 58), 38, "#d1495b")
        canvas.text((124, top + 58), str(number + 1), Ink(36, "#ffffff", "bold", "mm"))
        canvas.text((190, top + 58), name, Ink(30, "#8a1c1c", "bold", "lm"))
        canvas.text((400, top + 58), text, Ink(26, "#333333", anchor="lm", room=800))
    canvas.text((60, 588), "上季度演练：412 人中 57 人点了链接，财务部最多", Ink(28, "#333333"))
    canvas.text(
        (60, 644), "发现可疑邮件请转发 report@huaxin.example，或拨打内线 8110", Ink(26, "#8a1c1c", "bold")
    )
    return photographed(
        canvas.finished(),
        31,
        Shot((38, 36, 40), 2.0, margin=90, askew=1.0, blur=0.9, grain=10, shade=0.4, shrink=0.6),
    )


def choir_poster() -> Drawn:
    """Draw singing in a park."""
    canvas = Canvas(900, 1260, "#23395b")
    for ring, colour in enumerate(("#2e4a76", "#3b5d92", "#f4b942", "#f7cf7c")):
        canvas.disc((450, 330), 300 - 62 * ring, colour)
    for hill, colour in ((0, "#3f7d58"), (60, "#2f6246")):
        canvas.polygon(
            [
                (0, 560 + hill),
                (260, 470 + hill),
                (520, 540 + hill),
                (900, 450 + hill),
                (900, 760),
                (0, 760),
            ],
            colour,
        )
    canvas.box((0, 700, 900, 1260), "#fbf3e0")
    for singer in range(7):
        left = 180 + 90 * singer
        canvas.disc((left, 600), 22, "#f2d0a9")
        canvas.polygon(
            [(left - 34, 700), (left - 22, 626), (left + 22, 626), (left + 34, 700)],
            ("#d1495b", "#edae49", "#66a182")[singer % 3],
        )
    canvas.text((450, 40), "SUMMER SING-OUT", Ink(60, "#ffffff", "dejavu-bold", "ma"))
    ink = Ink(30, "#23395b", "dejavu", "ma")
    canvas.text((450, 736), "Seven choirs, one meadow", ink.but(size=40, face="book-bold"))
    lines = [
        "Saturday 18 July, 4 pm to dusk",
        "Elderberry Park, north gate",
        "Gospel, sea shanties, film music",
    ]
    canvas.texts((450, 820), lines, ink, 56)
    canvas.box((210, 1010, 690, 1084), "#d1495b", 36)
    canvas.text((450, 1047), "Free entry, bring a blanket", Ink(28, "#ffffff", "dejavu-bold", "mm"))
    canvas.text((450, 1120), "Rain date: Sunday 19 July", ink.but(size=24))
    canvas.text((450, 1180), "Dogs welcome on a lead. Cake stall by Scouts 41st.", ink.but(size=22))
    return photographed(canvas.finished(), 32, Shot((128, 104, 92), 4.0, glare=0.3, shrink=0.6))


def vaccine_notice() -> Drawn:
    """Draw a notice in a stairwell."""
    canvas = Canvas(900, 1180, "#fefefe")
    canvas.box((30, 30, 870, 1150), None, 0, "#c0392b", 4)
    canvas.text((450, 70), "通  知", Ink(64, "#c0392b", "serif-bold", "ma"))
    canvas.text((450, 180), "关于老年人流感疫苗接种的安排", Ink(34, face="serif-bold", anchor="ma"))
    ink = Ink(28, "#222222", "serif")
    top = 270.0
    for text in (
        "各位居民：",
        "为做好秋冬季呼吸道疾病防控，梧桐社区将为六十五周岁以上老人提供流感疫苗免费接种。",
        "时间：10 月 21 日至 24 日，上午 8:30—11:00",
        "地点：社区卫生服务站二楼预防接种门诊",
        "请携带：身份证、医保卡，穿宽松上衣",
        "发热、鸡蛋过敏或近期服用抗凝药者请先咨询医生。接种后须留观 30 分钟。",
        "行动不便者可登记上门接种，联系人：小唐  6677 3105",
    ):
        top = canvas.paragraph((80, top), text, ink, 740, 46) + 22
    canvas.text((820, 1020), "梧桐社区居民委员会", ink.but(anchor="ra"))
    canvas.text((820, 1070), "2025 年 10 月 15 日", ink.but(anchor="ra"))
    canvas.disc((660, 1050), 84, None, "#d9534f", 5)
    return photographed(
        canvas.finished(), 33, Shot((186, 188, 184), 1.3, shade=0.45, shrink=0.6, quality=40)
    )


SLIDES = {
    each.__name__: each
    for each in (
        onboarding_churn,
        quarter_roadmap,
        data_platform,
        phishing_training,
        choir_poster,
        vaccine_notice,
    )
}
