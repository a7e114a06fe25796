"""What people and assistants typically say, in two languages: what is common to all vectors.

Vectors of a model share much that says nothing: a direction they all have, one for each language, one
for questions and one for statements. It hides what texts mean, most where they share no word. What these
sentences have in common is taken off (Mu and Viswanath, "All-but-the-Top", 2018, do it by the principal
components of what is searched; a fixed sample needs no second look at what is kept).
"""

# Each in English and in Chinese.
MESSAGES = (
    ("Thanks so much, that means a lot to me!", "太谢谢你了，这对我很重要！"),
    ("Sure, no problem. Talk to you later.", "好的，没问题，回头聊。"),
    ("Yes, I totally agree with you.", "是的，我完全同意你的看法。"),
    ("What are you up to this weekend?", "这个周末你打算做什么？"),
    ("Haha, you are so funny.", "哈哈，你真有意思。"),
    ("You should try to relax and take a walk.", "你可以试着放松一下，出去走走。"),
    ("Here are three suggestions that may help you.", "下面是三个可能对你有帮助的建议。"),
    ("I started a new job last month.", "上个月我换了一份新工作。"),
    ("We adopted a dog from the shelter.", "我们从收容所领养了一只狗。"),
    ("Yesterday I watched a great film with my friends.", "昨天我和朋友看了一部很棒的电影。"),
    ("My favourite dish is noodles with beef.", "我最喜欢吃牛肉面。"),
    ("My daughter starts school in September.", "我女儿九月开始上学。"),
    ("The flight was delayed by four hours.", "航班晚点了四个小时。"),
    ("We are planning a trip to the seaside next summer.", "我们计划明年夏天去海边旅行。"),
    ("The server crashed and we lost some data.", "服务器崩溃了，我们丢了一些数据。"),
    ("The order number is on the back of the receipt.", "订单号在收据背面。"),
    ("My mother is a teacher and my father drives a bus.", "我妈妈是老师，我爸爸开公交车。"),
    ("The apartment has two bedrooms and a balcony.", "公寓有两间卧室和一个阳台。"),
    ("It costs about fifty a month.", "一个月大概五十块。"),
    ("She told me a secret that I must not share.", "她告诉了我一个不能说的秘密。"),
    ("My grandfather passed away two years ago.", "我爷爷两年前去世了。"),
    ("The new phone takes very good pictures.", "新手机拍照很好看。"),
    ("I lost my keys again.", "我又把钥匙弄丢了。"),
    ("Meditation helps me to stay calm.", "冥想能让我保持平静。"),
)
QUESTIONS = (
    ("Where do I live?", "我住在哪里？"),
    ("What do I do for a living?", "我是做什么工作的？"),
    ("Which colour do I like most?", "我最喜欢什么颜色？"),
    ("Why did I change my mind?", "我为什么改变了主意？"),
    ("How many siblings do I have?", "我有几个兄弟姐妹？"),
    ("Which films have I seen recently?", "我最近看过哪些电影？"),
    ("What kind of music does she enjoy?", "她喜欢什么样的音乐？"),
    ("What was the problem with the car?", "车子出了什么问题？"),
    ("What should be remembered about my health?", "关于我的健康要记住什么？"),
    ("When did we move here?", "我们是什么时候搬到这里的？"),
    ("How much did it cost?", "它花了多少钱？"),
    ("What is the name of the project?", "这个项目叫什么名字？"),
)
