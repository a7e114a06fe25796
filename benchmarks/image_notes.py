"""Six pictures of what was written down: two whiteboards, two recipes, a page of words, a plan."""

from __future__ import annotations

from image_camera import Shot, photographed
from image_canvas import Canvas, Drawn, Ink

_BLUE, _RED, _GREEN, _BLACK = "#1f3f8f", "#b3261e", "#1d7a45", "#2b2b2b"
_WALL = (178, 180, 184)


def _written(canvas: Canvas, at: tuple[float, float], lines: list[str], ink: Ink, step: float) -> float:
    for number, line in enumerate(lines):
        canvas.written((at[0], at[1] + step * number), line, ink)
    return at[1] + step * len(lines)


def retro_whiteboard() -> Drawn:
    """Draw what a team wrote when it looked back."""
    canvas = Canvas(1300, 860, "#f7f8f8")
    ink = Ink(29, _BLACK, "slanted")
    canvas.written((50, 36), "Sprint 41 retro", ink.but(size=42, fill=_BLUE))
    columns = [
        ("Went well", _GREEN, ["pairing on the importer", "zero pages at night", "Hana's demo!"]),
        ("Annoying", _RED, ["flaky e2e on Mondays", "review takes 3 days", "two standups?!"]),
        ("Try next", _BLUE, ["review before lunch", "quarantine flaky tests", "one standup, 10 am"]),
    ]
    for number, (name, colour, lines) in enumerate(columns):
        left = 50 + 420 * number
        canvas.line([(left, 182), (left + 350, 178)], colour, 4)
        canvas.written((left, 122), name, ink.but(size=36, fill=colour))
        _written(canvas, (left, 210), lines, ink, 68)
    canvas.line([(460, 130), (452, 480)], "#9aa0a6", 3)
    canvas.line([(880, 130), (886, 480)], "#9aa0a6", 3)
    canvas.box((60, 540, 850, 790), None, 18, _RED, 4)
    canvas.written((90, 560), "Actions", ink.but(size=36, fill=_RED))
    _written(
        canvas,
        (90, 624),
        ["Hana: split the nightly suite by Thu", "Ozan: bot that nags reviewers"],
        ink,
        70,
    )
    canvas.written((920, 620), "mood: 7/10", ink.but(size=38, fill=_GREEN))
    canvas.arrow((1010, 700), (1120, 760), _GREEN, 4)
    return photographed(canvas.finished(), 41, Shot(_WALL, 2.0, glare=0.6, shade=0.3, shrink=0.7))


def cache_whiteboard() -> Drawn:
    """Draw how a cache is to be built, drawn in a talk."""
    canvas = Canvas(1300, 860, "#f6f7f6")
    ink = Ink(30, _BLACK, "sans")
    canvas.written((60, 30), "秒杀系统 缓存方案", ink.but(size=44, fill=_RED))
    boxes = [
        ((70, 150, 300, 260), "用户请求", _BLACK),
        ((420, 150, 680, 260), "网关 限流", _BLUE),
        ((810, 150, 1080, 260), "本地缓存", _GREEN),
        ((810, 380, 1080, 490), "Redis 集群", _RED),
        ((420, 380, 680, 490), "消息队列", _BLUE),
        ((70, 380, 300, 490), "订单库", _BLACK),
    ]
    for box, name, colour in boxes:
        canvas.box(box, None, 14, colour, 4)
        canvas.written((box[0] + 44, box[1] + 30), name, ink.but(fill=colour))
    canvas.arrow((304, 205), (414, 205), _BLACK)
    canvas.arrow((684, 205), (804, 205), _BLACK)
    canvas.arrow((945, 266), (945, 374), _BLACK)
    canvas.arrow((804, 435), (686, 435), _BLACK)
    canvas.arrow((414, 435), (306, 435), _BLACK)
    canvas.written((968, 296), "未命中", ink.but(size=26))
    canvas.written((700, 384), "扣库存", ink.but(size=26, fill=_RED))
    _written(
        canvas,
        (70, 560),
        [
            "1. 热点商品提前预热，过期时间加随机值",
            "2. 库存用 Lua 脚本原子扣减，防止超卖",
            "3. 异步落库，失败补偿由定时任务对账",
        ],
        ink,
        66,
    )
    canvas.written((70, 780), "压测目标 3 万 QPS，周三评审", ink.but(fill=_BLUE))
    return photographed(
        canvas.finished(), 42, Shot(_WALL, -1.0, askew=0.9, blur=1.0, shade=0.35, shrink=0.6)
    )


def pork_recipe() -> Drawn:
    """Draw how mother cooks pork."""
    canvas = Canvas(900, 1120, "#fdf6e3")
    for level in range(140, 1100, 56):
        canvas.line([(40, level), (860, level)], "#e5d9b8", 1)
    ink = Ink(30, "#2c3a57", "serif")
    canvas.written((320, 46), "妈妈的红烧肉", ink.but(size=44, fill=_RED))
    lines = [
        "五花肉 两斤，切麻将块",
        "冷水下锅，加姜片料酒焯水",
        "冰糖 一小把，小火炒到枣红色",
        "下肉翻匀，放八角两个、桂皮一块",
        "生抽三勺 老抽一勺 黄酒一碗",
        "加开水没过肉，小火炖一个半钟头",
        "鹌鹑蛋煮好剥壳，最后二十分钟放",
        "大火收汁，出锅前尝咸淡",
    ]
    _written(canvas, (60, 150), lines, ink, 84)
    canvas.written((60, 860), "切记：不要放冷水，肉会柴！", ink.but(fill=_RED))
    canvas.written((60, 950), "外婆原来还放几块腐乳汁", ink.but(size=28))
    canvas.written((560, 1030), "2019 冬至 抄", ink.but(size=26))
    return photographed(canvas.finished(), 43, Shot((92, 66, 48), -5.0, margin=70, shade=0.5, shrink=0.6))


def sourdough_recipe() -> Drawn:
    """Draw how to bake bread without yeast."""
    canvas = Canvas(900, 1120, "#fcfbf4")
    for level in range(120, 1100, 50):
        canvas.line([(30, level), (870, level)], "#cfe0ee", 1)
    canvas.line([(110, 0), (110, 1120)], "#f0b4b4", 2)
    ink = Ink(27, "#23355e", "slanted")
    canvas.written((140, 46), "Country sourdough (2 loaves)", ink.but(size=36))
    lines = [
        "900 g bread flour + 100 g rye",
        "720 g water, 32 °C",
        "200 g starter, fed 6 h before",
        "22 g sea salt",
        "autolyse 40 min, then salt",
        "fold every 30 min, four times",
        "bulk until +50 %, about 5 h",
        "shape, fridge overnight",
        "bake in Dutch oven, 250 °C lid on 20 min",
        "lid off 230 °C, 22 min, dark crust",
    ]
    _written(canvas, (140, 132), lines, ink, 82)
    canvas.written((140, 980), "last time: too wet, try 690 g", ink.but(fill=_RED))
    return photographed(canvas.finished(), 44, Shot((148, 118, 88), 2.5, motion=4, shrink=0.65))


def spanish_words() -> Drawn:
    """Draw a page of words to learn, Spanish, English and Chinese."""
    canvas = Canvas(1000, 900, "#ffffff")
    for level in range(150, 880, 70):
        canvas.line([(40, level), (960, level)], "#d8dee6", 1)
    ink = Ink(28, "#1c2b4a", "sans")
    canvas.written((60, 40), "西班牙语 Unidad 4 En el mercado", ink.but(size=36, fill=_BLUE))
    rows = [
        ("la manzana", "apple", "苹果"),
        ("el ajo", "garlic", "大蒜"),
        ("la gamba", "prawn", "虾"),
        ("barato", "cheap", "便宜的"),
        ("cuánto cuesta", "how much", "多少钱"),
        ("media docena", "half a dozen", "半打"),
        ("la berenjena", "aubergine", "茄子"),
        ("regatear", "to haggle", "讨价还价"),
        ("está agotado", "sold out", "卖完了"),
    ]
    for number, row in enumerate(rows):
        for left, word in zip((70, 400, 720), row, strict=True):
            canvas.written((left, 160 + 70 * number), word, ink)
    canvas.written((70, 810), "周五听写！重点：gamba / agotado", ink.but(fill=_RED))
    return photographed(canvas.finished(), 45, Shot((168, 160, 150), -1.0, curl=18, shrink=0.7, quality=60))


def marathon_plan() -> Drawn:
    """Draw twelve weeks of running, as a sheet."""
    canvas = Canvas(1240, 880)
    canvas.text((50, 30), "12-week marathon plan, goal 3:45", Ink(34, "#14213d", "dejavu-bold"))
    canvas.text((50, 84), "Easy pace 6:10/km. Race: Porto, 8 November", Ink(20, "#6b7280", "dejavu"))
    columns = [(70, "la"), (210, "la"), (480, "la"), (770, "la"), (1180, "ra")]
    canvas.box((50, 126, 1200, 172), "#14213d")
    head = [("Week", "Tuesday", "Thursday", "Sunday long run", "Total km")]
    canvas.table(columns, 136, head, Ink(20, "#ffffff", "dejavu-bold"), 40)
    rows = [
        ("1", "6 x 400 m", "Tempo 5 km", "16 km", "38"),
        ("2", "8 x 400 m", "Tempo 6 km", "18 km", "42"),
        ("3", "5 x 800 m", "Hills, 8 reps", "21 km", "47"),
        ("4", "Rest", "Easy 8 km", "14 km", "31"),
        ("5", "6 x 800 m", "Tempo 8 km", "24 km", "54"),
        ("6", "4 x 1 mile", "Hills, 10 reps", "26 km", "58"),
        ("7", "5 x 1 mile", "Tempo 10 km", "Half marathon test", "60"),
        ("8", "Rest", "Easy 10 km", "18 km", "36"),
        ("9", "3 x 3 km", "Tempo 12 km", "30 km", "66"),
        ("10", "4 x 3 km", "Goal pace 14 km", "32 km, practise gels", "70"),
        ("11", "8 x 400 m", "Goal pace 8 km", "20 km", "44"),
        ("12", "Strides", "Shake-out 4 km", "RACE DAY", "54"),
    ]
    for number, row in enumerate(rows):
        top = 180 + 54 * number
        fill = "#fde2c8" if row[1] == "Rest" else "#f3f6fa" if number % 2 else "#ffffff"
        canvas.box((50, top, 1200, top + 54), fill)
        canvas.table(columns, top + 14, [row], Ink(20, "#1f2937", "dejavu"), 54)
    return canvas.finished()


NOTES = {
    each.__name__: each
    for each in (
        retro_whiteboard,
        cache_whiteboard,
        pork_recipe,
        sourdough_recipe,
        spanish_words,
        marathon_plan,
    )
}
