"""Six screenshots of a phone and a week's calendar: three talks, a way, the weather."""

from __future__ import annotations

from image_canvas import Canvas, Drawn, Ink, broken, font

_WIDTH, _HEIGHT = 750, 1334
_SIDE = 26


def spring_train_talk() -> Drawn:
    """Draw a family that talks about the way home at New Year."""
    return _talk(
        "一家人 (5)",
        "20:16",
        [
            ("妈妈", "今年除夕你们哪天到家？我好买菜"),
            ("", "抢到腊月二十八的票了，G1376，下午三点二十到衡阳东"),
            ("爸爸", "我开车去接，行李多不多"),
            ("", "两个箱子，还给你们带了按摩仪"),
            ("妹妹", "哥，记得帮我带一盒稻香村！要牛舌饼"),
            ("妈妈", "腊肉已经熏好了，给你们留了一大块"),
            ("", "[好的] 那我初六返程，别让妈太累"),
        ],
        ("#ededed", "#95ec69"),
    )


def leaking_pipe_talk() -> Drawn:
    """Draw a tenant who tells the landlord of water."""
    return _talk(
        "房东 周阿姨",
        "21:30",
        [
            ("周", "小刘，这个月房租 3200 收到了"),
            ("", "周阿姨，厨房水槽下面一直漏水，柜子都泡了"),
            ("", "我先把角阀关了，楼下邻居说天花板有水印"),
            ("周", "哎呀，那得赶紧修。我叫张师傅明早九点上门"),
            ("", "好的，费用怎么算？"),
            ("周", "水管老化，修理费我出。你把旧软管拍照发我"),
            ("", "行，明天我在家等"),
        ],
        ("#ededed", "#95ec69"),
    )


def cabin_talk() -> Drawn:
    """Draw friends who plan some days in a cabin."""
    return _talk(
        "Cabin crew",
        "9:52",
        [
            ("Ines", "Keys are in the lockbox, code 4719"),
            ("Bo", "I'm bringing the raclette grill and two kilos of potatoes"),
            ("", "Great. I have firewood, headlamps and the board games"),
            ("Ines", "Someone please take towels, there are none this time"),
            ("Tariq", "Towels: me. Arriving Friday around 7 pm, snow chains on"),
            ("", "Road past the sawmill is closed, use the valley side"),
            ("Bo", "Sauna needs two hours to heat, so first one there lights it"),
        ],
        ("#ffffff", "#2f7cf6"),
    )


def _talk(title: str, clock: str, said: list[tuple[str, str]], colours: tuple[str, str]) -> Drawn:
    theirs, mine = "#ffffff" if colours[0] != "#ffffff" else "#e9e9eb", colours[1]
    canvas = Canvas(_WIDTH, _HEIGHT, colours[0])
    _status(canvas, clock, "#000000")
    canvas.text((_WIDTH / 2, 76), title, Ink(30, "#111111", "bold", "ma"))
    canvas.line([(40, 84), (28, 98), (40, 112)], "#111111", 3)
    canvas.line([(0, 136), (_WIDTH, 136)], "#d5d5d5", 1)
    ink = Ink(28, "#111111")
    top = 164.0
    for number, (who, text) in enumerate(said):
        lines = broken(text, ink, 440)
        wide = max(font(ink.face, ink.size).getlength(line) for line in lines) + 2 * _SIDE
        high = 40 * len(lines) + 30
        if who:
            canvas.box(
                (24, top, 92, top + 68), ("#d9a86c", "#7a9cc6", "#c98ba5")[sum(map(ord, who)) % 3], 8
            )
            canvas.text((58, top + 34), who[0], Ink(30, "#ffffff", "bold", "mm"))
            canvas.box((112, top, 112 + wide, top + high), theirs, 14)
            canvas.texts((112 + _SIDE, top + 12), lines, ink, 40)
        else:
            left = 640 - wide
            canvas.box((658, top, 726, top + 68), "#5f7f72", 8)
            canvas.box((left, top, 640, top + high), mine, 14)
            dark = mine == "#2f7cf6"
            canvas.texts(
                (left + _SIDE, top + 12), lines, ink.but(fill="#ffffff" if dark else "#111111"), 40
            )
        top += high + (38 if number % 3 else 44)
    canvas.box((0, 1230, _WIDTH, _HEIGHT), "#f7f7f7")
    canvas.box((90, 1248, 580, 1314), "#ffffff", 12, "#dcdcdc")
    canvas.disc((46, 1281), 24, None, "#444444", 3)
    canvas.disc((632, 1281), 24, None, "#444444", 3)
    canvas.line([(690, 1281), (722, 1281)], "#444444", 3)
    canvas.line([(706, 1265), (706, 1297)], "#444444", 3)
    return canvas.finished()


def _status(canvas: Canvas, clock: str, colour: str) -> None:
    canvas.text((48, 14), clock, Ink(26, colour, "bold"))
    canvas.box((652, 20, 704, 44), None, 6, colour, 2)
    canvas.box((656, 24, 690, 40), colour, 3)
    for bar in range(4):
        canvas.box((590 + 12 * bar, 42 - 6 * (bar + 1), 598 + 12 * bar, 44), colour, 2)


def metro_route() -> Drawn:
    """Draw the way from a station to a flat."""
    canvas = Canvas(_WIDTH, _HEIGHT, "#e8efe4")
    for shift in range(-600, 900, 170):
        canvas.line([(shift, 150), (shift + 520, 760)], "#ffffff", 12)
        canvas.line([(shift + 700, 150), (shift + 200, 760)], "#f6f1dc", 8)
    canvas.polygon(
        [(0, 560), (180, 520), (420, 600), (750, 540), (750, 640), (420, 690), (160, 620), (0, 650)],
        "#b5d6ee",
    )
    canvas.line([(110, 700), (160, 560), (330, 520), (400, 400), (560, 360), (640, 230)], "#3b82f6", 10)
    canvas.disc((110, 700), 16, "#22a861", "#ffffff", 5)
    canvas.disc((640, 230), 16, "#e5484d", "#ffffff", 5)
    canvas.box((0, 0, _WIDTH, 170), "#ffffff")
    _status(canvas, "17:42", "#000000")
    canvas.text((60, 66), "起点  虹桥火车站", Ink(26, "#22a861"))
    canvas.text((60, 114), "终点  武康路 376 号", Ink(26, "#e5484d"))
    canvas.box((0, 760, _WIDTH, _HEIGHT), "#ffffff", 24)
    canvas.text((40, 788), "推荐方案   约 52 分钟", Ink(32, "#111111", "bold"))
    canvas.text((40, 846), "票价 5 元 · 步行 860 米 · 换乘 1 次", Ink(24, "#777777"))
    stops = [
        ("步行 240 米至地铁站 2 号口", "#bbbbbb", "4 分钟"),
        ("10 号线  开往基隆路方向", "#c1a7e2", "9 站 28 分钟"),
        ("交通大学站 站内换乘", "#bbbbbb", "5 分钟"),
        ("11 号线  开往迪士尼方向", "#8b2942", "1 站 3 分钟"),
        ("6 号口出，沿淮海中路步行 620 米", "#bbbbbb", "12 分钟"),
    ]
    for number, (name, colour, long) in enumerate(stops):
        top = 912 + 74 * number
        canvas.box((46, top, 58, top + 58), colour, 6)
        canvas.text((84, top + 12), name, Ink(24, "#222222"))
        canvas.text((710, top + 12), long, Ink(22, "#888888", anchor="ra"))
    canvas.text((375, 1292), "末班车 22:31，请合理安排时间", Ink(20, "#999999", anchor="ma"))
    return canvas.finished()


def rain_warning() -> Drawn:
    """Draw the weather with a warning of rain."""
    canvas = Canvas(_WIDTH, _HEIGHT, "#4b6584")
    _status(canvas, "6:58", "#ffffff")
    white = Ink(30, "#ffffff")
    canvas.text((375, 90), "杭州 余杭区", white.but(size=40, anchor="ma"))
    canvas.text((375, 150), "21°", white.but(size=140, face="dejavu", anchor="ma"))
    canvas.text((375, 320), "暴雨  东北风 6 级", white.but(size=32, anchor="ma"))
    canvas.box((40, 400, 710, 560), "#c8702a", 20)
    canvas.text((70, 418), "暴雨橙色预警", white.but(face="bold", size=32))
    canvas.paragraph(
        (70, 468),
        "预计未来 3 小时降雨量达 50 毫米以上，低洼路段易积水，请减少外出。",
        white.but(size=24),
        620,
        36,
    )
    canvas.box((40, 590, 710, 800), "#5b7797", 20)
    hours = [
        ("现在", 21),
        ("8时", 21),
        ("10时", 20),
        ("12时", 22),
        ("14时", 23),
        ("16时", 22),
        ("18时", 20),
    ]
    for number, (hour, degrees) in enumerate(hours):
        middle = 90 + 95 * number
        canvas.text((middle, 612), hour, white.but(size=24, anchor="ma"))
        canvas.oval((middle - 26, 664, middle + 26, 694), "#dfe7ef")
        for drop in (-14, 0, 14):
            canvas.line([(middle + drop, 702), (middle + drop - 5, 718)], "#9fd0ff", 3)
        canvas.text((middle, 740), f"{degrees}°", white.but(size=28, anchor="ma"))
    canvas.box((40, 830, 710, 1290), "#5b7797", 20)
    days = [
        ("今天", "暴雨", "19° / 23°"),
        ("周四", "大雨", "18° / 22°"),
        ("周五", "阵雨", "17° / 24°"),
        ("周六", "多云", "18° / 27°"),
        ("周日", "晴", "19° / 29°"),
        ("下周一", "晴", "20° / 31°"),
    ]
    canvas.table([(76, "la"), (330, "la"), (674, "ra")], 856, days, white.but(size=28), 72)
    return canvas.finished()


def crowded_week() -> Drawn:
    """Draw a week's calendar with hardly any room."""
    canvas = Canvas(1440, 900)
    canvas.text((40, 26), "May 4 – 10, 2026", Ink(32, face="dejavu-bold"))
    canvas.text((1400, 36), "Week 19   Europe/Lisbon", Ink(18, "#7a828a", "dejavu", "ra"))
    days = ["Mon 4", "Tue 5", "Wed 6", "Thu 7", "Fri 8", "Sat 9", "Sun 10"]
    for number, day in enumerate(days):
        left = 100 + 190 * number
        canvas.line([(left, 90), (left, 890)], "#e4e7eb", 1)
        canvas.text((left + 95, 92), day, Ink(18, "#4a5158", "dejavu-bold", "ma"))
    for hour in range(8, 20):
        top = 130 + 63 * (hour - 8)
        canvas.line([(100, top), (1440, top)], "#eef0f3", 1)
        canvas.text((88, top), f"{hour}:00", Ink(15, "#8a9199", "dejavu", "rm"))
    events = [
        (0, 9, 10, "Sprint planning", "Room Fado", "#cfe2ff"),
        (0, 14, 15.5, "Dentist", "Dr. Albuquerque", "#ffd9d9"),
        (1, 10, 12, "Budget review", "with Finance", "#cfe2ff"),
        (1, 18, 19.5, "Choir rehearsal", "St. Roque", "#e2d6ff"),
        (2, 9, 17, "Offsite: Sintra", "train 8:11, Rossio", "#d4f2dc"),
        (3, 11, 12, "1:1 Helena", "promotion case", "#cfe2ff"),
        (3, 15, 17, "Security audit", "ISO 27001", "#cfe2ff"),
        (4, 8.5, 9.5, "School play", "Leo is a tree", "#ffecc2"),
        (4, 13, 14, "Lunch w/ Duarte", "Time Out Market", "#ffecc2"),
        (5, 10, 13, "Flea market", "bring the lamps", "#e2d6ff"),
        (6, 12, 15, "Grandma's 80th", "Setúbal", "#ffd9d9"),
    ]
    for column, start, end, name, where, colour in events:
        left, begins = 104 + 190 * column, 132 + 63 * (start - 8)
        canvas.box((left, begins, left + 182, 128 + 63 * (end - 8)), colour, 6)
        canvas.text((left + 10, begins + 7), name, Ink(16, "#23303d", "dejavu-bold", room=170))
        canvas.text((left + 10, begins + 31), where, Ink(15, "#4b5a69", "condensed", room=170))
    return canvas.finished()


PHONES = {
    each.__name__: each
    for each in (
        spring_train_talk,
        leaking_pipe_talk,
        cabin_talk,
        metro_route,
        rain_warning,
        crowded_week,
    )
}
