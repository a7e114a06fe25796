"""Tickets, an invoice, a label of a parcel and one of a carton."""

from __future__ import annotations

import random

from image_camera import Shot, photographed
from image_canvas import Canvas, Drawn, Ink

_SMALL = Ink(19, "#6a7480", "dejavu")


def _square_code(canvas: Canvas, at: tuple[float, float], cells: int, size: int) -> None:
    """Draw what looks like a code to scan: three eyes and dust."""
    dust = random.Random(cells)
    left, top = at
    for row in range(cells):
        for column in range(cells):
            if dust.random() < 0.5:
                x, y = left + size * column, top + size * row
                canvas.box((x, y, x + size, y + size), "#111111")
    for row, column in ((0, 0), (0, cells - 7), (cells - 7, 0)):
        x, y = left + size * column, top + size * row
        canvas.box((x - size, y - size, x + 8 * size, y + 8 * size), "#ffffff")
        canvas.box((x, y, x + 7 * size, y + 7 * size), "#111111")
        canvas.box((x + size, y + size, x + 6 * size, y + 6 * size), "#ffffff")
        canvas.box((x + 2 * size, y + 2 * size, x + 5 * size, y + 5 * size), "#111111")


def pass_to_oslo() -> Drawn:
    """Draw a boarding pass in an app."""
    canvas = Canvas(750, 1180, "#0b3c5d")
    canvas.box((40, 60, 710, 1120), "#ffffff", 26)
    canvas.text((80, 92), "Northwind Air", Ink(32, "#0b3c5d", "dejavu-bold"))
    canvas.text((670, 100), "BOARDING PASS", _SMALL.but(anchor="ra"))
    canvas.text((80, 190), "LIS", Ink(84, "#111111", "dejavu-bold"))
    canvas.text((670, 190), "OSL", Ink(84, "#111111", "dejavu-bold", "ra"))
    canvas.text((80, 296), "Lisbon", Ink(24, "#555555", "dejavu"))
    canvas.text((670, 296), "Oslo Gardermoen", Ink(24, "#555555", "dejavu", "ra"))
    canvas.arrow((330, 240), (430, 240), "#0b3c5d", 4)
    cells = [
        ("Passenger", "VIEIRA / MARTA", 80, 370),
        ("Flight", "NW 318", 500, 370),
        ("Date", "27 JUN 2026", 80, 480),
        ("Departs", "06:25", 500, 480),
        ("Gate", "B14", 80, 590),
        ("Boarding", "05:50", 280, 590),
        ("Seat", "22F", 500, 590),
        ("Group", "3", 80, 700),
        ("Bags", "1 x 23 kg", 280, 700),
        ("Booking", "QX7T2M", 500, 700),
    ]
    for name, value, left, top in cells:
        canvas.text((left, top), name, _SMALL)
        canvas.text((left, top + 30), value, Ink(30, "#111111", "dejavu-bold"))
    canvas.dashes((60, 806), (690, 806), "#b8c2cc", 2)
    _square_code(canvas, (258, 830), 26, 9)
    canvas.text((375, 1084), "Gate closes 15 minutes before departure", _SMALL.but(anchor="ma"))
    return canvas.finished()


def pass_to_kunming() -> Drawn:
    """Draw a boarding pass of paper, in two languages."""
    canvas = Canvas(1180, 460, "#fdfdfb")
    canvas.box((0, 0, 1180, 74), "#b3202a")
    canvas.text((30, 12), "海云航空", Ink(34, "#ffffff", "bold"))
    canvas.text((210, 24), "HAIYUN AIRLINES", Ink(20, "#ffffff", "dejavu"))
    canvas.text((840, 16), "登机牌  BOARDING PASS", Ink(22, "#ffffff", "sans", "ra"))
    canvas.dashes((870, 80), (870, 455), "#999999", 2)
    cells = [
        ("姓名 NAME", "董雨桐", 30, 96),
        ("航班 FLIGHT", "HY7385", 330, 96),
        ("日期 DATE", "05OCT", 600, 96),
        ("始发 FROM", "成都天府", 30, 206),
        ("到达 TO", "昆明长水", 330, 206),
        ("座位 SEAT", "11A", 600, 206),
        ("登机口 GATE", "D207", 30, 316),
        ("登机时间 TIME", "13:10", 330, 316),
        ("舱位 CLASS", "经济舱", 600, 316),
        ("姓名 NAME", "董雨桐", 900, 96),
        ("航班 FLIGHT", "HY7385", 900, 206),
        ("座位 SEAT", "11A", 900, 316),
    ]
    for name, value, left, top in cells:
        canvas.text((left, top), name, Ink(18, "#888888"))
        canvas.text((left, top + 28), value, Ink(34, "#1a1a1a", "bold"))
    canvas.text((30, 418), "登机口于起飞前 20 分钟关闭", Ink(19, "#b3202a"))
    return photographed(canvas.finished(), 21, Shot((60, 66, 74), -6.0, margin=90, glare=0.5, shrink=0.85))


def train_ticket() -> Drawn:
    """Draw a ticket of a fast train."""
    canvas = Canvas(900, 560, "#d9ecf5")
    canvas.text((40, 26), "K093021", Ink(26, "#c0392b", "dejavu"))
    canvas.text((860, 30), "检票：12A", Ink(24, anchor="ra"))
    canvas.text((70, 92), "上海虹桥站", Ink(40, face="serif-bold"))
    canvas.text((830, 92), "黄山北站", Ink(40, face="serif-bold", anchor="ra"))
    canvas.text((450, 88), "G7349", Ink(38, face="serif-bold", anchor="ma"))
    canvas.arrow((360, 150), (540, 150), "#222222", 2)
    canvas.text((70, 160), "Shanghaihongqiao", Ink(20, face="book"))
    canvas.text((830, 160), "Huangshanbei", Ink(20, face="book", anchor="ra"))
    canvas.text((40, 220), "2026年04月03日  08:17开", Ink(30))
    canvas.text((860, 220), "07车 13F号", Ink(30, anchor="ra"))
    canvas.text((40, 280), "￥ 186.5 元", Ink(30))
    canvas.text((860, 280), "二等座", Ink(30, anchor="ra"))
    canvas.text((40, 336), "限乘当日当次车", Ink(26))
    canvas.text((40, 386), "3101****2217  范思远", Ink(28))
    canvas.box((40, 444, 640, 536), None, 4, "#666666", 1)
    canvas.text((340, 456), "买票请到铁路售票窗口", Ink(22, "#444444", anchor="ma"))
    canvas.text((340, 492), "仅供报销使用", Ink(22, "#444444", anchor="ma"))
    _square_code(canvas, (700, 380), 22, 7)
    return photographed(canvas.finished(), 22, Shot((104, 78, 58), 5.0, margin=70, grain=9, shrink=0.6))


def design_invoice() -> Drawn:
    """Draw what a designer charges."""
    canvas = Canvas(1000, 1240)
    canvas.text((70, 60), "INVOICE", Ink(46, "#1f2937", "dejavu-bold"))
    canvas.text((930, 66), "INV-2026-014", Ink(26, "#1f2937", "dejavu", "ra"))
    canvas.text((930, 106), "Issued 2 March 2026", _SMALL.but(anchor="ra"))
    canvas.text((930, 136), "Due 1 April 2026", _SMALL.but(anchor="ra"))
    ink = Ink(20, "#333333", "dejavu")
    canvas.text((70, 190), "From", _SMALL)
    canvas.texts((70, 222), ["Oyelaran Studio", "8 Tannery Yard", "Leeds LS10 1AB"], ink, 32)
    canvas.text((560, 190), "Bill to", _SMALL)
    canvas.texts((560, 222), ["Brightwater Brewing Co.", "Unit 4, Canal Wharf", "York YO1 9RA"], ink, 32)
    canvas.box((70, 360, 930, 410), "#eef2f7")
    columns = [(90, "la"), (620, "ra"), (760, "ra"), (910, "ra")]
    canvas.table(
        columns, 372, [("Description", "Hours", "Rate", "Amount")], ink.but(face="dejavu-bold"), 50
    )
    rows = [
        ("Label design, six cans", "38", "55.00", "2,090.00"),
        ("Logo refresh", "16", "55.00", "880.00"),
        ("Photo retouching", "9", "40.00", "360.00"),
        ("Print-ready files", "5", "40.00", "200.00"),
    ]
    top = canvas.table(columns, 436, rows, ink, 56)
    canvas.line([(70, top + 6), (930, top + 6)], "#9aa5b1", 1)
    sums = [("Subtotal", "3,530.00"), ("VAT 20%", "706.00"), ("Paid in advance", "-1,000.00")]
    top = canvas.table([(620, "la"), (910, "ra")], top + 34, sums, ink, 48)
    canvas.text((620, top + 8), "Amount due", Ink(24, face="dejavu-bold"))
    canvas.text((910, top + 56), "GBP 3,236.00", Ink(32, "#b03a2e", "dejavu-bold", "ra"))
    canvas.text((70, 1010), "Payment", _SMALL)
    notes = ["Sort code 20-45-77", "Account 6031 8842", "Late fee 2% per month"]
    canvas.texts((70, 1042), notes, ink, 34)
    canvas.text((70, 1180), "Thank you for brewing with us!", Ink(20, "#6a7480", "slanted"))
    return canvas.finished()


def parcel_label() -> Drawn:
    """Draw a label on a parcel."""
    canvas = Canvas(760, 1000)
    canvas.box((14, 14, 746, 986), None, 0, "#111111", 3)
    canvas.text((40, 40), "SWIFTPOST", Ink(44, "#111111", "dejavu-bold"))
    canvas.text((720, 52), "EXPRESS 24", Ink(28, "#111111", "dejavu-bold", "ra"))
    canvas.line([(14, 120), (746, 120)], "#111111", 3)
    canvas.text((40, 136), "FROM", _SMALL.but(fill="#333333"))
    ink = Ink(21, "#111111", "dejavu")
    canvas.texts((40, 166), ["Lumen Lamp Repair", "Kastanienallee 31", "10435 Berlin"], ink, 32)
    canvas.line([(14, 280), (746, 280)], "#111111", 3)
    canvas.text((40, 296), "TO", _SMALL.but(fill="#333333"))
    who = ["Agnieszka Wolska", "ul. Krucza 16/22 m. 9", "00-525 Warszawa", "POLAND"]
    canvas.texts((40, 330), who, ink.but(size=32, face="dejavu-bold"), 50)
    canvas.line([(14, 550), (746, 550)], "#111111", 3)
    about = [("Weight", "4.85 kg"), ("Contents", "1 table lamp"), ("Insured", "EUR 300")]
    canvas.table([(40, "la"), (200, "la")], 570, about, ink, 40)
    canvas.box((470, 570, 720, 680), "#111111")
    canvas.text((595, 600), "FRAGILE", Ink(34, "#ffffff", "dejavu-bold", "mm"))
    canvas.text((595, 648), "this side up", Ink(22, "#ffffff", "dejavu", "mm"))
    canvas.line([(14, 706), (746, 706)], "#111111", 3)
    left = 70.0
    for bar in range(90):
        wide = 2 + (bar * 13) % 6
        if bar % 2 == 0:
            canvas.box((left, 740, left + wide, 890), "#111111")
        left += wide
        if left > 690:
            break
    canvas.text((380, 912), "SP 7720 4419 0036 DE", Ink(28, "#111111", "mono", "ma"))
    return photographed(canvas.finished(), 23, Shot((176, 138, 94), -3.0, motion=3, askew=0.8, shrink=0.7))


def oat_carton() -> Drawn:
    """Draw the side of a carton of oat milk, in two languages."""
    canvas = Canvas(700, 1060, "#f7f1e3")
    canvas.box((0, 0, 700, 130), "#3f6b4f")
    canvas.text((350, 18), "燕麦奶  OAT DRINK", Ink(38, "#ffffff", "bold", "ma"))
    canvas.text((350, 82), "净含量 1L · 低温避光保存", Ink(22, "#e2efe5", anchor="ma"))
    canvas.box((40, 160, 660, 660), None, 0, "#333333", 2)
    canvas.text((350, 172), "营养成分表 Nutrition Facts", Ink(28, face="bold", anchor="ma"))
    columns = [(60, "la"), (460, "ra"), (640, "ra")]
    rows = [
        ("项目 Item", "每100mL", "NRV%"),
        ("能量 Energy", "196 kJ", "2%"),
        ("蛋白质 Protein", "1.1 g", "2%"),
        ("脂肪 Fat", "1.6 g", "3%"),
        ("碳水化合物 Carbs", "6.8 g", "2%"),
        ("膳食纤维 Fibre", "0.8 g", "3%"),
        ("钠 Sodium", "42 mg", "2%"),
        ("钙 Calcium", "120 mg", "15%"),
    ]
    for number in range(len(rows)):
        canvas.line([(40, 222 + 54 * number), (660, 222 + 54 * number)], "#555555", 1)
    canvas.table(columns, 232, rows, Ink(23), 54)
    top = canvas.paragraph(
        (40, 690), "配料：水、燕麦（12%）、菜籽油、碳酸钙、食用盐、维生素D、维生素B12。", Ink(22), 620, 36
    )
    top = canvas.paragraph(
        (40, top + 12), "过敏原提示：含有麸质谷物，生产线亦加工坚果。", Ink(22, "#a33"), 620, 36
    )
    canvas.texts(
        (40, top + 12),
        ["Shake well. Use within 5 days of opening.", "保质期 9 个月   批号 L26058 B"],
        Ink(21),
        38,
    )
    return photographed(
        canvas.finished(), 24, Shot((198, 192, 184), 1.0, curl=22, blur=1.1, glare=0.35, shrink=0.75)
    )


TICKETS = {
    each.__name__: each
    for each in (pass_to_oslo, pass_to_kunming, train_ticket, design_invoice, parcel_label, oat_carton)
}
