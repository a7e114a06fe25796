"""Slips of paper on a table: three of chemists, one of a restaurant, two bills of one flat."""

from __future__ import annotations

from collections.abc import Sequence

from image_camera import Shot, crumpled, photographed
from image_canvas import Canvas, Drawn, Ink

_PRINT = Ink(23, "#2a2a2e", "sans")
_PRINT_EN = Ink(21, "#2a2a2e", "mono")
Row = tuple[str, ...]


def _slip(
    head: Sequence[str],
    about: Sequence[Row],
    goods: Sequence[Row],
    sums: Sequence[Row],
    foot: Sequence[str],
    ink: Ink,
) -> Canvas:
    """Return a till receipt: names of the shop, two columns, a list of goods, sums, last words."""
    width = 540
    rows = len(head) + len(about) + len(goods) + len(sums) + len(foot)
    canvas = Canvas(width, 40 * rows + 230, "#fbfaf6")
    canvas.text(
        (width / 2, 34),
        head[0],
        ink.but(size=34, face="bold" if ink.face == "sans" else "mono-bold", anchor="ma"),
    )
    top = canvas.texts((width / 2, 88), head[1:], ink.but(anchor="ma"), 36) + 14
    ends = [(30, "la"), (width - 30, "ra")]
    for part in (about, goods, sums):
        canvas.dashes((24, top), (width - 24, top), "#777777", 1.5)
        columns = ends if len(part[0]) == 2 else [(30, "la"), (width - 170, "ra"), (width - 30, "ra")]
        top = canvas.table(columns, top + 14, part, ink, 40) + 8
    canvas.dashes((24, top), (width - 24, top), "#777777", 1.5)
    canvas.texts((width / 2, top + 16), foot, ink.but(anchor="ma"), 38)
    return canvas


def _taken(canvas: Canvas, seed: int, shot: Shot) -> Drawn:
    return photographed(crumpled(canvas.finished(), seed), seed, shot)


def pharmacy_fever() -> Drawn:
    """Draw what a chemist sold for a fever."""
    canvas = _slip(
        ["益民大药房", "（解放路店）", "销售小票"],
        [("单号 8820260107", "收银员 03"), ("2026-01-07", "19:42")],
        [
            ("品名", "数量", "金额"),
            ("布洛芬缓释胶囊", "1", "18.60"),
            ("小儿氨酚黄那敏颗粒", "2", "25.00"),
            ("电子体温计", "1", "36.80"),
            ("退热贴 6 片装", "2", "39.80"),
            ("维生素C泡腾片", "1", "22.50"),
        ],
        [("合计", "142.70"), ("医保个账支付", "66.10"), ("微信支付", "76.60")],
        ["药品离柜概不退换", "服务热线 0731-8456 2210"],
        _PRINT,
    )
    return _taken(canvas, 11, Shot((126, 96, 70), 3.0, curl=10, shrink=0.8))


def pharmacy_sugar() -> Drawn:
    """Draw what a chemist sold against diabetes."""
    canvas = _slip(
        ["康泰药店", "（中山北路分店）", "医保定点"],
        [("流水 KT-20260312-077", "日期 03-12"), ("会员 *** 6618", "积分 +128")],
        [
            ("品名", "数量", "金额"),
            ("盐酸二甲双胍片", "3", "41.70"),
            ("血糖试纸 50 片", "2", "118.00"),
            ("一次性采血针", "1", "15.00"),
            ("阿卡波糖片", "2", "63.40"),
            ("酒精棉片", "1", "8.90"),
        ],
        [("应收", "247.00"), ("优惠", "-19.00"), ("统筹支付", "152.40"), ("现金", "75.60")],
        ["请按医嘱服药", "谢谢惠顾"],
        _PRINT,
    )
    return _taken(canvas, 12, Shot((88, 92, 98), -1.6, curl=14, fade=0.72, blur=0.8, shrink=0.8))


def pharmacy_hayfever() -> Drawn:
    """Draw what a chemist sold against hay fever."""
    canvas = _slip(
        ["GREENWAY PHARMACY", "14 Harbour Street", "Galway H91 X2K7"],
        [("Receipt 40718", "Till 2"), ("22 APR 2026", "17:05")],
        [
            ("Cetirizine 10mg x30", "7.45"),
            ("Nasal spray 120 doses", "11.90"),
            ("Eye drops 10ml", "8.25"),
            ("Sun cream SPF50", "14.50"),
            ("Plasters, waterproof", "3.80"),
        ],
        [
            ("SUBTOTAL", "45.90"),
            ("Loyalty discount", "-4.59"),
            ("TOTAL EUR", "41.31"),
            ("Contactless", "41.31"),
        ],
        ["Ask our pharmacist", "about pollen season"],
        _PRINT_EN,
    )
    return _taken(canvas, 13, Shot((150, 128, 100), -4.0, motion=4, askew=0.6))


def dinner_bill() -> Drawn:
    """Draw a dinner for four."""
    canvas = _slip(
        ["The Copper Kettle", "Bistro & Wine", "27 Mill Lane, Bath"],
        [("Table 12", "Covers 4"), ("Server: Rosalind", "09/05/2026")],
        [
            ("2 Mussels in cider", "31.00"),
            ("1 Lamb shank", "24.50"),
            ("1 Mushroom risotto", "17.90"),
            ("1 Bottle Albarino", "36.00"),
            ("3 Sticky toffee", "25.50"),
            ("2 Espresso", "6.40"),
        ],
        [("Food & drink", "141.30"), ("Service 12.5%", "17.66"), ("TOTAL GBP", "158.96")],
        ["Card ending 4402", "Happy anniversary!"],
        _PRINT_EN,
    )
    return _taken(canvas, 14, Shot((70, 50, 42), -2.1, grain=15, shade=0.7, blur=0.9, shrink=0.75))


def _power_bill(month: str, rows: Sequence[Row], total: str, notes: Sequence[str], days: str) -> Canvas:
    canvas = Canvas(900, 1120)
    canvas.box((0, 0, 900, 120), "#00706b")
    canvas.text((40, 28), "江城供电公司", Ink(36, "#ffffff", "bold"))
    canvas.text((40, 80), "居民电费账单", Ink(22, "#cfe8e6"))
    canvas.text((860, 40), month, Ink(34, "#ffffff", "bold", "ra"))
    about = [
        ("户名", "徐文彬", "户号", "4201 7788 03"),
        ("地址", "望湖花园 6 栋 1802", "抄表周期", days),
    ]
    ink = Ink(22, "#333333")
    canvas.table([(40, "la"), (120, "la"), (500, "la"), (620, "la")], 150, about, ink, 48)
    canvas.box((40, 260, 860, 310), "#e4f1f0")
    columns = [(60, "la"), (380, "ra"), (600, "ra"), (840, "ra")]
    canvas.table(
        columns, 270, [("项目", "电量（度）", "单价（元）", "金额（元）")], ink.but(face="bold"), 50
    )
    top = canvas.table(columns, 334, rows, ink, 54)
    canvas.line([(40, top), (860, top)], "#00706b", 2)
    canvas.text((60, top + 18), "本期应缴", Ink(28, "#00706b", "bold"))
    canvas.text((840, top + 14), total, Ink(36, "#c0392b", "bold", "ra"))
    canvas.texts((60, top + 96), notes, Ink(21, "#666666"), 42)
    for bar in range(64):
        wide = 2 + (bar * 7 + len(total)) % 5
        canvas.box((60 + 9 * bar, 1010, 60 + 9 * bar + wide, 1070), "#111111")
    return canvas


def power_january() -> Drawn:
    """Draw the electricity of a cold month."""
    rows = [
        ("峰时", "412", "0.588", "242.26"),
        ("谷时", "268", "0.308", "82.54"),
        ("第二档加价", "130", "0.050", "6.50"),
        ("第三档加价", "90", "0.300", "27.00"),
    ]
    notes = [
        "上期 2025 年 12 月：296.15 元",
        "采暖用电较多，本期已进入第三档",
        "缴费截止 2 月 20 日，逾期收取违约金",
    ]
    canvas = _power_bill("2026年1月", rows, "358.30 元", notes, "01-01 至 01-31")
    return _taken(canvas, 15, Shot((160, 150, 138), 0.8, shade=0.3, shrink=0.65, quality=45))


def power_march() -> Drawn:
    """Draw the electricity of a mild month, as a file."""
    rows = [
        ("峰时", "151", "0.588", "88.79"),
        ("谷时", "97", "0.308", "29.88"),
        ("阳台光伏抵扣", "-38", "0.415", "-15.77"),
    ]
    notes = [
        "上期 2026 年 2 月：241.06 元",
        "新增分布式光伏并网，余电自动抵扣",
        "已签约支付宝代扣，4 月 18 日扣款",
    ]
    return _power_bill("2026年3月", rows, "102.90 元", notes, "03-01 至 03-31").finished()


RECEIPTS = {
    each.__name__: each
    for each in (pharmacy_fever, pharmacy_sugar, pharmacy_hayfever, dinner_bill, power_january, power_march)
}
