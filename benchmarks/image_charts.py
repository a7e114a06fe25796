"""Fourteen charts: four of lines, several of bars and shares, and some rarer kinds."""

from __future__ import annotations

from itertools import accumulate
from math import exp, sin

from image_canvas import Canvas, Drawn, Ink
from image_plot import Plot, legend

_TICK = Ink(17, "#5b6168", "dejavu")
_TICK_ZH = Ink(18, "#5b6168")
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def platform_users() -> Drawn:
    """Draw monthly active users by platform."""
    canvas = Canvas(1280, 760)
    canvas.text((80, 34), "Monthly active users by platform, 2025", Ink(30, face="dejavu-bold"))
    canvas.text(
        (80, 78), "Thousands. Source: product analytics, bots excluded", Ink(18, "#777777", "dejavu")
    )
    plot = Plot(canvas, (100, 150, 1060, 660), (0, 11), (0, 500))
    plot.levels([(value, str(value)) for value in range(0, 501, 100)], _TICK)
    plot.below(list(enumerate(_MONTHS)), _TICK)
    series = {
        "iOS": ("#d1495b", [182, 195, 214, 236, 251, 279, 301, 334, 368, 401, 437, 462]),
        "Android": ("#2e7d5b", [310, 312, 318, 321, 319, 325, 328, 330, 327, 334, 339, 341]),
        "Web": ("#3066be", [205, 201, 193, 188, 176, 171, 160, 154, 149, 140, 133, 126]),
    }
    for name, (colour, values) in series.items():
        plot.curve(list(enumerate(values)), colour, 3.5, dots=5)
        canvas.text(
            (1080, plot.y(values[-1])), f"{name}  {values[-1]}", Ink(20, colour, "dejavu-bold", "lm")
        )
    canvas.dashes((plot.x(7), 150), (plot.x(7), 660), "#999999", 1.5)
    canvas.text((plot.x(7) - 10, 160), "iOS passes Android", Ink(18, "#555555", "dejavu", "ra"))
    return canvas.finished()


def battery_cycles() -> Drawn:
    """Draw capacity of three cells over charge cycles, as a plotting library draws it."""
    canvas = Canvas(1000, 720)
    canvas.text((520, 30), "Capacity retention at 1C, 25 °C", Ink(24, "#000000", "dejavu", "ma"))
    plot = Plot(canvas, (110, 90, 940, 610), (0, 1000), (70, 100), grid="#eeeeee")
    plot.levels([(value, str(value)) for value in range(70, 101, 5)], _TICK.but(fill="#000000"))
    plot.below([(value, str(value)) for value in range(0, 1001, 200)], _TICK.but(fill="#000000"))
    cells = {
        "LFP-A": ("#1f77b4", 7.5, 60),
        "NMC-B": ("#ff7f0e", 17, 45),
        "NMC-C (coated)": ("#2ca02c", 11, 60),
    }
    for colour, drop, bend in cells.values():
        points = [
            (n, 100 - drop * (n / 1000) ** 0.8 - (3 * exp((n - 960) / bend)) + 0.12 * sin(n / 9))
            for n in range(0, 1001, 10)
        ]
        plot.curve(points, colour, 2)
    plot.axes("#000000")
    canvas.box((90 + 40, 460, 372, 590), "#ffffff", 4, "#cccccc")
    for number, (name, (colour, _, _)) in enumerate(cells.items()):
        canvas.line([(145, 486 + 38 * number), (185, 486 + 38 * number)], colour, 3)
        canvas.text((198, 486 + 38 * number), name, Ink(18, "#000000", "dejavu", "lm"))
    canvas.dashes((110, plot.y(80)), (940, plot.y(80)), "#cc0000", 1.5)
    canvas.text((880, plot.y(80) + 6), "end of life: 80 %", Ink(16, "#cc0000", "dejavu", "ra"))
    canvas.text((525, 660), "Charge cycles", Ink(19, "#000000", "dejavu", "ma"))
    canvas.upright((38, 350), "Discharge capacity (% of initial)", Ink(19, "#000000", "dejavu"))
    return canvas.finished()


def house_prices() -> Drawn:
    """Draw prices of used flats over ten years."""
    canvas = Canvas(1200, 720, "#fffdf8")
    canvas.text((600, 30), "南湖新区二手房成交均价走势（2016—2025）", Ink(30, "#333333", "bold", "ma"))
    canvas.text((90, 92), "元/平方米", _TICK_ZH)
    plot = Plot(canvas, (110, 140, 1140, 610), (2015.6, 2025.4), (8000, 24000), grid="#ece6da")
    plot.levels([(value, f"{value:,}") for value in range(8000, 24001, 4000)], _TICK_ZH)
    values = [9860, 13250, 16480, 17900, 18720, 21360, 20140, 18090, 16530, 15980]
    years = list(range(2016, 2026))
    plot.below([(year, f"{year}年") for year in years], _TICK_ZH)
    points = list(zip(years, values, strict=True))
    plot.band([(year, 8000) for year in years], points, "#f7e3cf")
    plot.curve(points, "#c8553d", 4, dots=6)
    for year, value in points:
        aside = 30 * ((year > 2021) - (year < 2021))  # away from the line
        canvas.text((plot.x(year) + aside, plot.y(value) - 34), f"{value}", Ink(18, "#8c3a2a", anchor="ma"))
    canvas.text((plot.x(2021), plot.y(21360) - 66), "最高点", Ink(20, "#c8553d", "bold", "ma"))
    canvas.text((110, 672), "数据来源：区住建局网签备案，不含保障房", Ink(18, "#888888"))
    return canvas.finished()


def body_weight() -> Drawn:
    """Draw a weight over twelve weeks, from an app."""
    canvas = Canvas(900, 700, "#f4f7fb")
    canvas.box((30, 30, 870, 670), "#ffffff", 22)
    canvas.text((70, 60), "体重变化", Ink(32, face="bold"))
    canvas.text((70, 112), "第1周 至 第12周", Ink(20, "#8a94a3"))
    canvas.text((830, 58), "71.4 公斤", Ink(34, "#2a9d8f", "bold", "ra"))
    canvas.text((830, 112), "较开始减少 7.2 公斤", Ink(20, "#2a9d8f", anchor="ra"))
    plot = Plot(canvas, (110, 200, 830, 580), (1, 12), (70, 80), grid="#edf1f6")
    plot.levels([(value, str(value)) for value in range(70, 81, 2)], _TICK_ZH)
    plot.below([(week, str(week)) for week in range(1, 13)], _TICK_ZH)
    values = [78.6, 78.1, 77.2, 76.8, 76.9, 75.4, 74.8, 74.9, 74.6, 73.1, 72.2, 71.4]
    plot.curve(list(enumerate(values, 1)), "#2a9d8f", 4, dots=6)
    canvas.dashes((110, plot.y(72)), (830, plot.y(72)), "#e9a23b")
    canvas.text((120, plot.y(72) - 34), "目标 72 公斤", Ink(20, "#c07f1c"))
    canvas.text((plot.x(8), plot.y(74.9) - 44), "出差，未锻炼", Ink(18, "#8a94a3", anchor="ma"))
    return canvas.finished()


def appliance_energy() -> Drawn:
    """Draw how much power each appliance takes in a year."""
    canvas = Canvas(1200, 740)
    canvas.text((70, 32), "Where the electricity goes at home", Ink(30, face="dejavu-bold"))
    canvas.text((70, 76), "kWh per year, three-person household", Ink(19, "#777777", "dejavu"))
    values = {
        "Heat pump": 2140,
        "Water heater": 1380,
        "Tumble dryer": 612,
        "Induction hob": 440,
        "Fridge-freezer": 298,
        "Lighting": 215,
        "TV & console": 187,
        "Router": 96,
    }
    plot = Plot(canvas, (100, 140, 1150, 640), (-0.6, 7.6), (0, 2400))
    plot.levels([(value, f"{value:,}") for value in range(0, 2401, 400)], _TICK)
    for number, (name, value) in enumerate(values.items()):
        plot.bar(number, value, 84, "#f2a541" if number < 2 else "#86a6c3")
        canvas.text(
            (plot.x(number), plot.y(value) - 28), f"{value:,}", Ink(18, "#333333", "dejavu-bold", "ma")
        )
        canvas.text((plot.x(number), 652), name, Ink(15, "#444444", "condensed", "ma"))
    canvas.text(
        (1150, 700), "Smart-plug readings, Nov 2024 to Oct 2025", Ink(16, "#999999", "dejavu", "ra")
    )
    return canvas.finished()


def regional_sales() -> Drawn:
    """Draw sales of two years by region."""
    canvas = Canvas(1280, 760)
    canvas.text((640, 30), "第三季度各大区销售额对比", Ink(32, "#1d3557", "bold", "ma"))
    legend(canvas, (500, 104), [("2024年", "#a8c0d6"), ("2025年", "#1d5f8a")], Ink(20, "#444444"))
    plot = Plot(canvas, (110, 150, 1220, 640), (-0.6, 5.6), (0, 6000))
    plot.levels([(value, str(value)) for value in range(0, 6001, 1000)], _TICK_ZH)
    canvas.text((40, 108), "单位：万元", _TICK_ZH)
    regions = [
        ("华东", 4320, 5180, "+19.9%"),
        ("华南", 3890, 4015, "+3.2%"),
        ("华北", 3410, 2876, "-15.7%"),
        ("华中", 1960, 2540, "+29.6%"),
        ("西南", 1725, 2088, "+21.0%"),
        ("东北", 1130, 978, "-13.5%"),
    ]
    for number, (name, before, now, change) in enumerate(regions):
        plot.bar(number - 0.2, before, 66, "#a8c0d6")
        plot.bar(number + 0.2, now, 66, "#1d5f8a")
        canvas.text(
            (plot.x(number - 0.2), plot.y(before) - 26), str(before), Ink(17, "#666666", anchor="ma")
        )
        canvas.text((plot.x(number + 0.2), plot.y(now) - 26), str(now), Ink(17, "#1d3557", "bold", "ma"))
        colour = "#2f8f4e" if change[0] == "+" else "#c1121f"
        canvas.text((plot.x(number), 654), name, Ink(22, "#333333", anchor="ma"))
        canvas.text((plot.x(number), 694), change, Ink(20, colour, "bold", "ma"))
    return canvas.finished()


def staff_survey() -> Drawn:
    """Draw what staff think, as bars that lie."""
    canvas = Canvas(1100, 780)
    canvas.text((60, 34), "2025年度员工满意度调查结果", Ink(32, "#222222", "bold"))
    canvas.text((60, 88), "有效问卷 386 份，满分 5 分", Ink(20, "#808080"))
    rows = [
        ("同事协作", 4.6),
        ("办公环境", 4.3),
        ("直属上级", 4.2),
        ("工作内容", 3.9),
        ("培训机会", 3.4),
        ("薪酬福利", 3.1),
        ("晋升通道", 2.7),
        ("加班强度", 2.3),
    ]
    for number, (name, score) in enumerate(rows):
        top = 150 + 70 * number
        colour = "#4c9f70" if score >= 4 else "#e0a030" if score >= 3 else "#d0453a"
        canvas.text((200, top + 22), name, Ink(22, anchor="rm"))
        canvas.box((220, top, 960, top + 44), "#f1f1f1", 6)
        canvas.box((220, top, 220 + 740 * score / 5, top + 44), colour, 6)
        canvas.text((980, top + 22), f"{score:.1f}", Ink(24, colour, "bold", "lm"))
    canvas.text((60, 728), "红色为低于 3 分的项目，需在下季度制定改进措施", Ink(20, "#d0453a"))
    return canvas.finished()


def cloud_costs() -> Drawn:
    """Draw shares of a cloud bill, as a ring."""
    canvas = Canvas(1100, 720, "#11161d")
    canvas.text((60, 40), "Cloud spend, April 2026", Ink(30, "#f0f3f6", "dejavu-bold"))
    canvas.text((60, 86), "Shares of the invoice by service", Ink(19, "#8b98a5", "dejavu"))
    shares = [
        ("Compute instances", 41, "#4f9dde"),
        ("Managed database", 23, "#f2b84b"),
        ("Data transfer out", 17, "#e0605e"),
        ("Object storage", 9, "#6cc08b"),
        ("Log ingestion", 7, "#b48ade"),
        ("Other", 3, "#76828e"),
    ]
    start = 0.0
    for _, share, colour in shares:
        canvas.slice((330, 410), 240, (start, start + 3.6 * share), colour)
        start += 3.6 * share
    canvas.disc((330, 410), 140, "#11161d")
    canvas.text((330, 396), "$18,240", Ink(38, "#f0f3f6", "dejavu-bold", "mm"))
    canvas.text((330, 440), "total", Ink(20, "#8b98a5", "dejavu", "mm"))
    for number, (name, share, colour) in enumerate(shares):
        top = 230 + 62 * number
        canvas.disc((660, top), 9, colour)
        canvas.text((690, top), name, Ink(22, "#dde3e9", "dejavu", "lm"))
        canvas.text((1030, top), f"{share} %", Ink(22, "#f0f3f6", "dejavu-bold", "rm"))
    return canvas.finished()


def family_spending() -> Drawn:
    """Draw shares of what a family spent in a month."""
    canvas = Canvas(1000, 760, "#fffaf5")
    canvas.text((500, 34), "二月家庭支出构成", Ink(34, "#5a3e2b", "bold", "ma"))
    canvas.text((500, 90), "合计 14,860 元", Ink(22, "#9a7b63", anchor="ma"))
    shares = [
        ("房贷", 5200, "#c8553d"),
        ("年货与红包", 3900, "#f28f3b"),
        ("餐饮买菜", 2350, "#588b8b"),
        ("孩子补习", 1800, "#93b7be"),
        ("交通加油", 960, "#ffd5c2"),
        ("医药", 650, "#8d6a9f"),
    ]
    start = 0.0
    for _, value, colour in shares:
        share = 360 * value / 14860
        canvas.slice((340, 430), 250, (start, start + share), colour)
        start += share
    for number, (name, value, colour) in enumerate(shares):
        top = 250 + 66 * number
        canvas.box((650, top - 13, 676, top + 13), colour, 4)
        canvas.text((692, top), name, Ink(22, "#5a3e2b", anchor="lm"))
        canvas.text((950, top), f"{value} 元", Ink(22, "#5a3e2b", "bold", "rm"))
    return canvas.finished()


def lisbon_rents() -> Drawn:
    """Draw rents against sizes of flats."""
    canvas = Canvas(1100, 760)
    canvas.text((100, 30), "Lisbon flats: size vs. monthly rent", Ink(28, face="dejavu-bold"))
    canvas.text((100, 72), "64 listings, March 2026", Ink(18, "#777777", "dejavu"))
    plot = Plot(canvas, (110, 130, 1050, 650), (20, 140), (400, 3200))
    plot.levels([(value, f"€{value:,}") for value in range(400, 3201, 400)], _TICK)
    plot.below([(value, str(value)) for value in range(20, 141, 20)], _TICK)
    plot.axes()
    areas = [("Alfama", "#b5446e", 22), ("Benfica", "#3c7a89", 13), ("Parque das Nações", "#d9a13b", 20)]
    for shift, (_, colour, slope) in enumerate(areas):
        for number in range(21):
            size = 28 + (number * 37 + shift * 11) % 96
            rent = 380 + slope * size + 190 * sin(number * 2.3 + shift)
            canvas.disc((plot.x(size), plot.y(min(rent, 3150))), 7, colour)
    canvas.dashes((plot.x(25), plot.y(840)), (plot.x(132), plot.y(2800)), "#444444")
    legend(canvas, (140, 160), [(name, colour) for name, colour, _ in areas], Ink(18, "#333333", "dejavu"))
    canvas.text((1040, 590), "r = 0.81, about €18 per m²", Ink(19, "#444444", "dejavu", "ra"))
    canvas.text((580, 702), "Floor area (m²)", Ink(19, "#333333", "dejavu", "ma"))
    return canvas.finished()


def call_heatmap() -> Drawn:
    """Draw when customers call, by day and hour."""
    canvas = Canvas(1200, 680)
    canvas.text((60, 32), "客服热线来电量热力图", Ink(30, face="bold"))
    canvas.text((60, 84), "按星期与时段统计，单位：通", Ink(19, "#888888"))
    days = "周一 周二 周三 周四 周五 周六 周日".split()
    hours = list(range(8, 20))
    for row, day in enumerate(days):
        top = 140 + 62 * row
        canvas.text((130, top + 29), day, Ink(20, anchor="rm"))
        for column, hour in enumerate(hours):
            peak = exp(-((hour - 10) ** 2) / 5) + 0.7 * exp(-((hour - 15) ** 2) / 6)
            calls = round((18 + 190 * peak) * (1.35 if row == 0 else 0.35 if row > 4 else 1 - 0.05 * row))
            heat = min(1.0, calls / 260)
            colour = (
                f"#{255 - round(20 * heat):02x}{244 - round(180 * heat):02x}{229 - round(190 * heat):02x}"
            )
            left = 145 + 82 * column
            canvas.box((left, top, left + 78, top + 58), colour, 4)
            canvas.text(
                (left + 39, top + 29),
                str(calls),
                Ink(19, "#ffffff" if heat > 0.6 else "#5c4033", anchor="mm"),
            )
    for column, hour in enumerate(hours):
        canvas.text((184 + 82 * column, 590), f"{hour}时", Ink(18, "#666666", anchor="ma"))
    canvas.text((60, 632), "高峰：周一上午十点，建议增派 4 名坐席", Ink(20, "#b03a2e", "bold"))
    return canvas.finished()


def electricity_mix() -> Drawn:
    """Draw what power was made of in twenty-five years, as layers."""
    canvas = Canvas(1280, 760)
    canvas.text((90, 30), "Electricity generation mix, 2000 to 2025", Ink(30, face="dejavu-bold"))
    canvas.text((90, 76), "Terawatt-hours", Ink(18, "#777777", "dejavu"))
    plot = Plot(canvas, (100, 130, 1010, 660), (2000, 2025), (0, 600))
    plot.levels([(value, str(value)) for value in range(0, 601, 100)], _TICK)
    years = list(range(2000, 2026))
    layers = {
        "Coal": ("#4a4e57", [290 - 3.4 * n - 0.26 * n * n for n in range(26)]),
        "Nuclear": ("#9d6cb3", [110.0 - 0.8 * n for n in range(26)]),
        "Natural gas": ("#d98e4a", [50 + 42 * sin(n / 9) for n in range(26)]),
        "Wind": ("#5fa8a0", [5 + 0.23 * n * n for n in range(26)]),
        "Solar": ("#f4d35e", [max(0.0, 0.42 * (n - 7) ** 2) if n > 7 else 0.0 for n in range(26)]),
    }
    stacked = list(accumulate(([0.0] * 26, *(values for _, values in layers.values())), _summed))
    for (name, (colour, _)), lower, upper in zip(layers.items(), stacked, stacked[1:], strict=False):
        plot.band(list(zip(years, lower, strict=True)), list(zip(years, upper, strict=True)), colour)
        middle = (lower[-1] + upper[-1]) / 2
        canvas.text((1026, plot.y(middle)), name, Ink(20, colour, "dejavu-bold", "lm"))
    plot.below([(year, str(year)) for year in range(2000, 2026, 5)], _TICK)
    canvas.text((100, 712), "Wind overtook coal in 2021.", Ink(19, "#555555", "dejavu"))
    return canvas.finished()


def _summed(one: list[float], other: list[float]) -> list[float]:
    return [a + b for a, b in zip(one, other, strict=True)]


def renovation_plan() -> Drawn:
    """Draw when each part of a renovation is to be done."""
    canvas = Canvas(1400, 760)
    canvas.text((50, 30), "旧房装修进度计划", Ink(32, face="bold"))
    canvas.text((1350, 42), "业主：何先生   工期 14 周", Ink(20, "#777777", anchor="ra"))
    tasks = [
        ("拆旧与清运", 1, 2, "#8d99ae"),
        ("水电改造", 3, 5, "#3a86c8"),
        ("防水与闭水试验", 5, 6, "#48b0c9"),
        ("瓦工贴砖", 6, 9, "#e07a5f"),
        ("木工吊顶", 8, 10, "#b58863"),
        ("墙面油漆", 10, 12, "#81b29a"),
        ("橱柜与木门安装", 12, 13, "#e9c46a"),
        ("保洁验收", 14, 14, "#9b5de5"),
    ]
    for week in range(1, 15):
        left = 260 + 78 * (week - 1)
        canvas.line([(left, 130), (left, 700)], "#eeeeee", 1)
        canvas.text((left + 39, 104), f"第{week}周", Ink(17, "#777777", anchor="ma"))
    for row, (name, first, last, colour) in enumerate(tasks):
        top = 150 + 68 * row
        canvas.text((240, top + 22), name, Ink(21, anchor="rm"))
        canvas.box((262 + 78 * (first - 1), top, 258 + 78 * last, top + 44), colour, 8)
        if last > first:
            middle = 260 + 39 * (first - 1 + last)
            canvas.text((middle, top + 22), f"{last - first + 1} 周", Ink(18, "#ffffff", "bold", "mm"))
    canvas.dashes((260 + 78 * 5.5, 130), (260 + 78 * 5.5, 700), "#d62828", 2.5)
    canvas.text((260 + 78 * 5.5, 708), "今天", Ink(20, "#d62828", "bold", "ma"))
    return canvas.finished()


def signup_funnel() -> Drawn:
    """Draw how many get through signing up."""
    canvas = Canvas(1100, 700, "#fbfbfd")
    canvas.text((60, 34), "Signup funnel, week 18", Ink(30, "#20232a", "dejavu-bold"))
    steps = [
        ("Landing page", 48210, ""),
        ("Email entered", 13740, "28.5 %"),
        ("Email verified", 9615, "70.0 %"),
        ("Card added", 2980, "31.0 %"),
        ("First project", 2410, "80.9 %"),
    ]
    for number, (name, people, share) in enumerate(steps):
        top = 120 + 108 * number
        half = 330 * (people / 48210) ** 0.5
        canvas.polygon(
            [
                (620 - half, top),
                (620 + half, top),
                (620 + half * 0.9, top + 72),
                (620 - half * 0.9, top + 72),
            ],
            ("#2b59c3", "#3c6fd6", "#5a89e4", "#d36582", "#7fa6ee")[number],
        )
        canvas.text((60, top + 36), name, Ink(21, "#333333", "dejavu", "lm"))
        canvas.text((620, top + 36), f"{people:,}", Ink(21, "#ffffff", "dejavu-bold", "mm"))
        canvas.text(
            (1040, top + 36), share, Ink(21, "#c2395d" if number == 3 else "#333333", "dejavu-bold", "rm")
        )
    canvas.text((1040, 664), "Biggest loss: the payment step", Ink(18, "#c2395d", "dejavu", "ra"))
    return canvas.finished()


CHARTS = {
    each.__name__: each
    for each in (
        platform_users,
        battery_cycles,
        house_prices,
        body_weight,
        appliance_energy,
        regional_sales,
        staff_survey,
        cloud_costs,
        family_spending,
        lisbon_rents,
        call_heatmap,
        electricity_mix,
        renovation_plan,
        signup_funnel,
    )
}
