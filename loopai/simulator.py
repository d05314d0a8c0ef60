"""Made-up SMS traffic with a label each: what the demo runs on when it is given no data.

Every sentence is our own: written as patterns with choices and slots, then roughened (case, shortened words, missing
punctuation) so that no two thousand are alike. `drift_at` switches on a new kind of unwanted message at that record
number, friendly in tone and without the words of the old kind, and some new everyday talk beside it. Wherever this
traffic shows it is called simulated.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Final

from loopai.records import Example

NAME: Final = "simulated SMS"
LABELS: Final = ("ham", "spam")
SPAM_SHARE: Final = 0.3

_SLOTS: Final[dict[str, tuple[str, ...]]] = {
    "name": (
        "Anna",
        "Ben",
        "Carla",
        "Deniz",
        "Ella",
        "Farid",
        "Greta",
        "Hugo",
        "Ines",
        "Jonas",
        "Kofi",
        "Lena",
        "Mia",
        "Nils",
        "Olga",
        "Paulo",
        "Rosa",
        "Sam",
        "Tilda",
        "Umar",
        "Vera",
        "Wim",
        "Yara",
        "Zoe",
    ),
    "place": (
        "the station",
        "the library",
        "the pool",
        "Mill Lane",
        "the north gate",
        "the bakery",
        "our usual cafe",
        "the office",
        "platform 4",
        "the market",
        "grandma's",
        "the gym",
        "the harbour",
        "school",
        "the clinic",
    ),
    "time": (
        "at 7",
        "at half six",
        "around noon",
        "tonight",
        "tomorrow morning",
        "after work",
        "in ten minutes",
        "on Friday",
        "before lunch",
        "at 19:30",
        "next Tuesday",
        "in an hour",
        "this weekend",
    ),
    "food": ("pasta", "dumplings", "the leftover curry", "pizza", "soup", "a big salad", "noodles", "fish tacos"),
    "thing": (
        "the keys",
        "my charger",
        "the blue folder",
        "your umbrella",
        "the tickets",
        "my gloves",
        "the drill",
        "that recipe",
        "the baby seat",
        "the tent",
        "the homework",
        "my glasses",
    ),
    "feel": (
        "so tired",
        "really glad",
        "a bit late",
        "nearly there",
        "stuck in traffic",
        "half asleep",
        "starving",
        "very proud of you",
        "running behind",
        "fine now",
    ),
    "prize": (
        "a new phone",
        "a luxury cruise",
        "a shopping voucher",
        "two concert passes",
        "a smart watch",
        "a weekend in Rome",
        "a games console",
        "free fuel for a year",
    ),
    "sum": ("500", "1000", "2,000", "750", "5000", "250", "10,000", "1500"),
    "cur": ("£", "$", "€", "EUR ", "USD "),
    "code": ("WIN44", "LUCKY7", "GOLD", "CASH22", "VIP900", "DEAL5", "PRIZE3", "BONUS8"),
    "short": ("87121", "60400", "82277", "69888", "80086", "61610", "84025"),
    "phone": ("09061 701 444", "0871 872 9755", "09058 094 597", "0845 281 0071", "09064 019 788"),
    "url": ("www.prize-desk.example", "http://claim-now.example/x", "win.big-draw.example", "fast-cash.example/go"),
    "link": ("parcel-fee.example/r7", "my-bank-check.example", "photo-share.example/k2", "tax-refund.example/me"),
    "firm": ("PostPoint", "your bank", "the toll office", "CityPower", "the parcel service", "StreamBox"),
}

_HAM: Final = (
    "{Hi|Hey|Hello|Morning} {name}, {are you still coming|can you come|shall we meet} to {place} {time}?",
    "I'm {feel}, {see you|be there|home} {time}{ x||!}",
    "{Could|Can} you {bring|pick up|look for} {thing} {when you come|on your way|if you pass {place}}?",
    "{Dinner|Lunch} is {food}, {don't be late|save some for {name}|I'll keep yours warm}",
    "{Sorry|So sorry} {I missed your call|for the late answer|about yesterday}, {I was at {place}|phone was flat|long day}",
    "{name} says {thing} {is|might be} at {place}, {can you check|please have a look|I'll go {time}}",
    "ok {lol|haha|cool|great}, {talk later|see you {time}|tell {name} too}",
    "{Happy birthday|Congratulations} {name}! {Hope you have a lovely day|Cake at {place} {time}|Big hug from all of us}",
    "The {train|bus|tram} is {late|full|cancelled} again, {I'll walk|start without me|I'm at {place}}",
    "{Did you|Have you} {feed the cat|lock the door|call the plumber|send the form|talk to {name}} {yet|today|already}?",
    "{What time|When} {does|did} the {film|class|meeting|game} {start|end} {again|{time}}?",
    "Thanks for {thing}, {you saved me|I owe you one|will return it {time}}. {Love|Best}, {name}",
    "{Meeting|Practice|Rehearsal} moved to {place} {time}, {pass it on|is that ok for you|please confirm}",
    "{I won|We won} the {quiz|match|raffle at school}{ can you believe it|!| lol}, {call me|tell {name}}",
    "{Doctor|Dentist} {appointment|visit} is {time}, {can you drive me|remember the card|I'm nervous}",
    "I've sent you {the 20|the 35|15} for {the tickets|dinner|{food}}, {check your account|thanks again|we are even}",
)  # fmt: skip
_SPAM: Final = (
    "{URGENT|WINNER|CONGRATULATIONS|ATTENTION}! {You have won|Your number was drawn for|You are awarded} "
    "{prize|{cur}{sum} cash}. {Call {phone}|Text {code} to {short}|Claim at {url}} {now|today|before midnight}",
    "{FREE|Free} {entry|ringtones|minutes|trial}: {text|send} {code} to {short} {and win {cur}{sum}|stop anytime|18+}",
    "{Final notice|Last chance|2nd attempt}: {claim|collect} your {cur}{sum} {prize|reward|bonus} {at {url}|on {phone}}",
    "{Cheap loans|Instant credit|Fast cash} up to {cur}{sum}, {no checks|bad credit ok|paid today}. {Call {phone}|{url}}",
    "{Lonely|Single|Bored}? {Chat to|Meet} {local singles|someone tonight}, {text|reply} {code} to {short}. {150p/msg|18+}",
    "You have {1 new|3 unread} {voice message|picture message}, {call {phone}|go to {url}} to {listen|view}. Cost 150ppm",
    "{Upgrade|Renew} your {phone|contract} {today|now} and get {prize|double minutes} FREE! {Call {phone}|Reply {code}}",
    "{Guaranteed|100% real} {cur}{sum} {cash|prize}! {Valid 12hrs only|T&C apply}. {Text {code} to {short}|{url}}",
)
_NEW_SPAM: Final = (
    "{Hi|Hello} {mum|dad}, {I dropped my phone|my phone broke|this is my new number}, {can you message me here|"
    "could you help with a bill {time}|please save it}",
    "{firm}: {we missed you at the door|your delivery is on hold|an address detail is missing}, {please confirm|"
    "rearrange} {here|at} {link}",
    "{Hi|Hey} {name}, {is this you in the photo|I found this picture of us|look who I met}? {link}",
    "{Hello|Hi}, {I am|this is} {name} from the {job portal|hiring team}, {we liked your profile|part time from home|"
    "a few hours a day}, {are you free to talk|shall I send details|answer yes if interested}",
    "{firm}: {unusual sign in|your refund is ready|one small fee is open}. {Check it|Sort it out} {today|{time}} {at} {link}",
    "{Sorry|Oh}, {is this {name}'s number|wrong number I think}? {You seem nice anyway|Let's be friends|What do you do}",
)
_NEW_HAM: Final = (
    "{The new app|The update} {is great|keeps crashing|finally works}, {try it|ask {name}|mine froze at {place}}",
    "{Video call|Online class} {time}, {link is in the chat|camera on please|mute yourself}",
    "{Scooter|Charger} at {place} is {free|broken|taken}, {I'll walk|see you {time}}",
)
_SHORTER: Final = (("you", "u"), ("are", "r"), ("please", "pls"), ("tomorrow", "tmrw"), ("thanks", "thx"), ("to", "2"))


class Simulator:
    """An endless stream, the same for the same seed. `drift_at` is the number of the first drifted record, or None."""

    def __init__(self, seed: int = 0, drift_at: int | None = None) -> None:
        self._random = random.Random(seed)  # noqa: S311 - traffic, not a secret
        self.drift_at = drift_at
        self.count = 0

    def __iter__(self) -> Iterator[Example]:
        return self

    def __next__(self) -> Example:
        r = self._random
        drifted = self.drift_at is not None and self.count >= self.drift_at
        spam = r.random() < SPAM_SHARE
        if spam:
            patterns: Sequence[str] = _NEW_SPAM if drifted and r.random() < 0.85 else _SPAM
        else:
            patterns = _NEW_HAM if drifted and r.random() < 0.25 else _HAM
        text = self._roughen(self._expand(r.choice(patterns)))
        record = Example(id=f"sim-{self.count:08d}", input={"text": text}, expected=LABELS[spam])
        self.count += 1
        return record

    def _expand(self, pattern: str) -> str:
        """Fills slots and takes one of each choice, the innermost braces first."""
        while "{" in pattern:
            begin = pattern.rindex("{")
            end = pattern.index("}", begin)
            body = pattern[begin + 1 : end]
            choices = _SLOTS.get(body) or body.split("|")
            chosen = self._random.choice(choices)
            pattern = pattern[:begin] + self._random.choice(_SLOTS.get(chosen, (chosen,))) + pattern[end + 1 :]
        return pattern

    def _roughen(self, text: str) -> str:
        """What thumbs do to a sentence."""
        r = self._random
        if r.random() < 0.3:
            text = text.lower()
        if r.random() < 0.25:
            words = dict(_SHORTER)
            text = " ".join(words.get(w.lower(), w) for w in text.split())
        if r.random() < 0.2:
            text = text.rstrip(".!?")
        if r.random() < 0.15 and len(text) > 12:
            i = r.randrange(1, len(text) - 2)
            text = text[:i] + text[i + 1] + text[i] + text[i + 2 :]
        return text
