"""Words for directions in labels, in the languages that people name folders in.

Latin, Greek and Cyrillic words stand in small letters; what has accents is also found without them.
The words of scripts without spaces or capitals are found anywhere in a label.
"""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


LEFT, RIGHT, UP, DOWN = "left", "right", "up", "down"
CLOCKWISE, COUNTERCLOCKWISE = "clockwise", "counterclockwise"
WEST, EAST, NORTH, SOUTH = "west", "east", "north", "south"

# What a mirror whose axis is upright makes of a direction, one whose axis lies, and a half turn.
MIRRORED = {LEFT: RIGHT, RIGHT: LEFT, WEST: EAST, EAST: WEST,
            CLOCKWISE: COUNTERCLOCKWISE, COUNTERCLOCKWISE: CLOCKWISE}  # fmt: skip
UPSIDE_DOWN = {UP: DOWN, DOWN: UP, NORTH: SOUTH, SOUTH: NORTH,
               CLOCKWISE: COUNTERCLOCKWISE, COUNTERCLOCKWISE: CLOCKWISE}  # fmt: skip
TURNED = frozenset((LEFT, RIGHT, UP, DOWN, WEST, EAST, NORTH, SOUTH))

_LISTS = {
    LEFT: """
        left lefts leftward leftwards leftmost lefthand lefthanded leftside leftie lefty lft
        links linke linker linkes linken linkem linkerhand linksom linksaf linksherum linksrum
        gauche izquierda izquierdo izq izqda izqdo izda izdo zurda zurdo
        sinistra sinistro sinistre sinistri esquerda esquerdo esq esquerra esquerre
        vänster vänstra venstre vasen vasemmalle vasemmalta vasemman vasemmalla
        lewo lewa lewy lewe lewej lewą lewym lewego lewoskrętnie lewostronnie
        vlevo doleva zleva levá levý levé levou levo leva levi lava ľavá ľavý vľavo doľava zľava
        lijevo lijeva lijevi ulijevo ulevo nalevo vlevo sleva levaya levyi levyj vasak vasakule
        stânga stanga balra bal balról sol sola soldan solak kiri trái ezker kairė kairėn kreisi
        kaliwa kushoto maldekstra majtas hidari oenjjok zuo baayen bayen baaye
        лево лева влево налево слева левый левая левое левой левую левого левым левша
        ляво лява наляво вляво ліворуч вліво зліва лівий ліва лівою ліву
        αριστερά αριστερή αριστερό αριστερος aristera
        """,
    RIGHT: """
        right rightward rightwards rightmost righthand righthanded rightside righty rgt rght
        rechts rechte rechter rechtes rechten rechtem rechterhand rechtsom rechtsaf rechtsherum
        rechtsrum droite droit derecha derecho dcha dcho diestra diestro
        destra destro destre destri direita direito dreta dret
        höger högra højre høyre oikea oikealle oikealta oikean oikealla
        prawo prawa prawy prawe prawej prawą prawym prawego prawoskrętnie prawostronnie
        vpravo doprava zprava pravá pravý pravé pravou pravo prava pravi sprava napravo pravaya
        desno desna desni udesno nadesno dreapta jobbra jobb jobbról sağ sağa sağdan kanan phải
        eskuin dešinė dešinėn labi kanan kulia dekstra djathtas migi oreunjjok daayen dayen daaye
        dahine paremale
        право права вправо направо справа правый правая правое правой правую правого правым правша
        дясно дясна надясно вдясно праворуч вправо правий правою
        δεξιά δεξί δεξιή δεξιο dexia
        """,
    UP: """
        up ups upward upwards upper uppermost top above overhead high higher highest raise raises
        raised raising lift lifts lifting rise rises rising ascend ascending climb climbing
        hoch oben aufwärts hinauf herauf rauf heben anheben hochheben haut monter monte dessus
        lever arriba subir sube alto alta encima levantar su sopra alzare salire cima acima
        omhoog boven góra górę górny podnieś nahoru nahore upp uppåt opp oppover ylös ylhäällä
        gore fel fent felfelé sus yukarı yukarıya üst atas lên taas juu ue
        вверх верх наверх сверху верхний вверху поднять вгору нагоре горе vverh naverh πάνω επάνω
        """,
    DOWN: """
        down downs downward downwards lower lowers lowered lowering lowest bottom below beneath
        underneath low descend descending drop drops dropping fall falls falling
        runter unten abwärts hinunter herunter hinab herab senken absenken bas descendre descend
        dessous baisser abajo bajar baja bajo debajo giù sotto basso abbassare scendere baixo
        abaixo descer omlaag beneden onder dół dołu dolny opuść dolů dole ner nedåt ned nedover
        alas alhaalla dolje lefelé jos aşağı aşağıya alt bawah xuống ibaba chini shita
        вниз низ снизу нижний внизу опустить донизу долу надолу vniz κάτω
        """,
    CLOCKWISE: """
        cw clockwise clkwise uhrzeigersinn horaire horario orario horário aiguilles rechtsdrehend
        medurs medsols myötäpäivään часовой zegara sahatta
        """,
    COUNTERCLOCKWISE: """
        ccw acw anticw countercw counterclockwise anticlockwise counterclock anticlock
        anticlkwise antihoraire antihorario antiorario antihorário linksdrehend moturs
        vastapäivään
        """,
    WEST: "west western westward westwards westbound",
    EAST: "east eastern eastward eastwards eastbound",
    NORTH: "north northern northward northwards northbound",
    SOUTH: "south southern southward southwards southbound",
}
WORDS = {word: direction for direction, words in _LISTS.items() for word in words.split()}
# Words that are made of several, as their parts.
COMPOUNDS = {
    "lr": (LEFT, RIGHT), "rl": (RIGHT, LEFT), "ltr": (LEFT, "to", RIGHT),
    "rtl": (RIGHT, "to", LEFT),
    "lh": (LEFT, "hand"), "rh": (RIGHT, "hand"), "lhs": (LEFT, "side"), "rhs": (RIGHT, "side"),
    "upleft": (UP, LEFT), "upright": ("upright",), "downleft": (DOWN, LEFT),
    "downright": ("downright",), "northwest": (NORTH, WEST), "northeast": (NORTH, EAST),
    "southwest": (SOUTH, WEST), "southeast": (SOUTH, EAST),
    "thumbup": ("thumb", UP), "thumbdown": ("thumb", DOWN),
}  # fmt: skip
# One letter means a side or a height only by its neighbours; see `directions`.
LETTERS = {"l": LEFT, "r": RIGHT, "u": UP, "d": DOWN}
# Short forms that are words of other meanings too: taken where both stand among the labels.
SHORT_PAIRS = (
    ("g", "d", LEFT, RIGHT), ("i", "d", LEFT, RIGHT), ("e", "d", LEFT, RIGHT),
    ("sx", "dx", LEFT, RIGHT), ("izq", "der", LEFT, RIGHT), ("izq", "dch", LEFT, RIGHT),
    ("esq", "dir", LEFT, RIGHT), ("li", "re", LEFT, RIGHT), ("lt", "rt", LEFT, RIGHT),
    ("lf", "rf", LEFT, RIGHT), ("le", "ri", LEFT, RIGHT),
    ("port", "starboard", LEFT, RIGHT), ("w", "e", WEST, EAST),
    ("n", "s", NORTH, SOUTH), ("u", "d", UP, DOWN), ("auf", "ab", UP, DOWN),
    ("t", "b", UP, DOWN),
    ("hi", "lo", UP, DOWN), ("dn", "up", DOWN, UP), ("shang", "xia", UP, DOWN),
)  # fmt: skip

_ANYWHERE = {
    LEFT: "左 왼 좌회전 좌측 좌로 ひだり ヒダリ ซ้าย बाएं बाएँ बायां बायाँ बाईं बायीं बाये बायें वाम "
    "يسار يسرى اليسرى أيسر ايسر شمال چپ بائیں שמאל বাম இடது ఎడమ ಎಡ ഇടത് ձախ მარცხ",
    RIGHT: "右 오른 우회전 우측 우로 みぎ ミギ ขวา दाएं दाएँ दायां दायाँ दाईं दायीं दाये दायें दाहिन दक्षिण "
    "يمين يمنى اليمنى أيمن ايمن راست دائیں ימין ডান வலது కుడి ಬಲ വലത് աջ მარჯვ",
    UP: "上 위로 위쪽 올리 うえ ウエ 挙げ 举 抬 ขึ้น บน ऊपर أعلى اعلى فوق بالا למעלה উপর மேல் పై",
    DOWN: "下 아래 내리 シタ 降 ลง ล่าง नीचे أسفل اسفل تحت پایین למטה নিচে கீழ் కింద",
    CLOCKWISE: "顺时针 順時針 順時鐘 时计回 時計回 時計方向 右回り 右转圈 시계 दक्षिणावर्त "
    "عقارب השעון",
    COUNTERCLOCKWISE: "逆时针 逆時針 逆時鐘 反時計回 反时针 反時針 左回り 반시계 वामावर्त",
}
# Arrows and hands; a pair of directions for what points to a corner.
_SIGNS = {
    (LEFT,): "←⇐⟵⬅👈⇦◀◁◄☜☚«‹↞↢↤⇠⇜⟸⏴⏪⏮↩🔙🫲🤛🫷🡐🠔🡄🢀⮜⮘⭠",
    (RIGHT,): "→⇒⟶➡👉⇨▶▷►☞☛»›↠↣↦⇢⇝⟹⏵⏩⏭↪🔜🫱🤜🫸🡒🠖🡆🢂⮞⮚⭢➔➜➝➞➤",
    (UP,): "↑⇑⬆👆☝⇧▲△⏫🔼👍🔝⏶🡑⭡⮝",
    (DOWN,): "↓⇓⬇👇⇩▼▽⏬🔽👎⏷🡓⭣⮟",
    (UP, LEFT): "↖⬉◤🡔↰",
    (UP, RIGHT): "↗⬈◥🡕↱⤴",
    (DOWN, LEFT): "↙⬋◣🡗↲↵",
    (DOWN, RIGHT): "↘⬊◢🡖↳⤵",
    (CLOCKWISE,): "↻⟳⭮🔃⥁⮔",
    (COUNTERCLOCKWISE,): "↺⟲⭯🔄⥀",
}
SIGNS = {sign: directions for directions, signs in _SIGNS.items() for sign in signs}
# Arrows of ASCII point somewhere only where the label has no letters.
ASCII_SIGNS = {"<": (LEFT,), ">": (RIGHT,), "^": (UP,)}

ANYWHERE = {word: direction for direction, words in _ANYWHERE.items() for word in words.split()}

# Before or after a word for clockwise they turn it round.
AGAINST = _set("""
    counter anti contra against contre inverse contraire gegen entgegen tegen contrario inverso
    против przeciwnie przeciwny tersi tersine ters mot motsatt vasta proti عكس נגד""")
# Words that only look like directions, and two in a row that do.
NOT_DIRECTIONS = _set("""
    bright aright fright wright affright alright outright downright upright forthright birthright
    copyright copyrights playwright cartwright millwright shipwright wheelwright wainwright albright
    enright eyebright overbright fullbright rightful rightfully righteous righteousness rightly
    rightness rightist rights leftover leftovers leftist leftism cleft clefts adroit adroite
    adroitement maladroit maladroite gaucherie gauchement hyperlinks weblinks cufflinks backlinks
    uplinks downlinks deeplinks sublinks bobolinks gerechte menschenrechte ambidestro
    maldestro""")
NOT_TOGETHER = frozenset(
    (("left", "over"), ("left", "overs"), ("copy", "right"), ("all", "right"), ("right", "now"),
     ("right", "angle"), ("right", "away"), ("left", "behind"), ("tout", "droit"))
)  # fmt: skip
# Between two opposite directions: both at once, so that a mirror changes nothing.
AND = _set("and or n und oder et ou y e o i og och en of ja и или ve veya")
TO = _set("to 2 4 til till nach a à al vers hacia naar do в на")

# What stands glued to a direction: swipeleft, lefthand, thumbsup, lhand.
GESTURES = _set("""
    arm arms bend body brow cheek circle click cross dance drag draw elbow eye eyes face finger
    fingers fist flick flip foot glance go grab hand hands handed head hip hook jab jaw jump kick
    knee lane lean leg legs limb look lunge move nod nudge palm pan pinch point pointing press pull
    punch push roll rotate rotation run scroll shake shoulder side sidestep slap slide sliding spin
    stance stand step steer steering strafe sweep swing swipe swiping tap throw thumb thumbs tilt
    turn turning twist upper uppercut volume walk wave waving wink wrist yaw arrow window view
    follow row shadow throw topple top bottom up down front back forward backward far mid middle
    drehen dreh drehung kopf arm bein fuss schau zeig wisch wischen winken nach zur mano bras main
    tete pied jambe cabeza brazo pierna girar giro gira braccio testa gamba braco cabeca perna
    hoofd been voet""")
# Long enough to be seen inside other words.
GLUED = (
    LEFT, RIGHT, "gauche", "droite", "izquierda", "izquierdo", "derecha", "derecho",
    "sinistra", "sinistro", "destra", "destro", "esquerda", "esquerdo", "direita", "direito",
    "links", "rechts", "linke", "rechte", "vänster", "höger", "venstre", "højre", "høyre",
    COUNTERCLOCKWISE, "anticlockwise", CLOCKWISE, "влево", "вправо", "налево", "направо",
    "левая", "правая",
)  # fmt: skip
GLUED_SHORT = {"up": UP, "down": DOWN, "cw": CLOCKWISE, "ccw": COUNTERCLOCKWISE}
GLUED_LETTERS = {"l": LEFT, "r": RIGHT}

# Words of a movement that is another one when played backwards; directions are, too.
WAYS = _set("""
    in out open opens opening close closes closing shut on off forward forwards backward backwards
    push pushing pull pulling stand standing sit sitting raise lower fall throw catch enter entering
    leave leaving exit pick put drop zoomin zoomout insert remove appear disappear fold unfold
    release load unload mount dismount plug unplug tie untie wrap unwrap fasten unfasten give take
    attach detach lock unlock approach retreat rein raus vor zurück öffnen schließen ouvrir fermer
    entrer sortir abrir cerrar entrar salir fechar sair aprire chiudere openen
    sluiten otwórz zamknij открыть закрыть""")
