"""Who calls whom in well-known demonstration systems: facts, written from their documentation and deployment files.

A line is `caller > callee, callee`; several may name one caller. Marks: `?` the caller falls back when it fails, `~`
asynchronously through a queue, `*` at most requests; else at some."""

from __future__ import annotations

BOUTIQUE = """
frontend > ad?*, recommendation?*, productcatalog*, cart*, currency*, shipping, checkout
checkout > cart*, productcatalog*, currency*, shipping*, payment*, email?*
recommendation > productcatalog*
cart > redis-cart*
"""
SOCKS = """
edge-router > front-end*
front-end > catalogue*, carts, user, orders
orders > carts*, user*, payment*, shipping*, orders-db*
shipping > rabbitmq*
queue-master > rabbitmq*
carts > carts-db*
user > user-db*
catalogue > catalogue-db*
"""
TRAINS = """
ui-dashboard > travel*, travel2, travel-plan, route-plan, preserve, preserve-other, order, order-other
ui-dashboard > inside-payment, cancel, rebook, consign, execute, auth*, verification-code, user, contacts
ui-dashboard > food, news?, voucher?, avatar?
preserve > seat*, security*, food, assurance, station*, order*, contacts*, travel*, consign, user*
preserve > notification~, basic*
preserve-other > seat*, security*, food, assurance, station*, order-other*, contacts*, travel2*, consign
preserve-other > user*, notification~, basic*
travel > basic*, seat*, route*, train*, order*
travel2 > basic*, seat*, route*, train*, order-other*
travel-plan > route-plan*, travel*, travel2*, seat*, train, station
route-plan > route*, travel*, travel2*, station
basic > station*, train*, route*, price*
seat > order*, order-other*, travel, travel2, config*
security > order*, order-other*, security-db*
inside-payment > order*, order-other*, payment*
cancel > order*, order-other, inside-payment*, user, notification~
rebook > order*, order-other, seat*, travel*, travel2, inside-payment*, train, station
consign > consign-price*, consign-db*
execute > order*, order-other
food > food-map*, station, travel
user > auth*, user-db*
auth > verification-code, auth-db*
order > station, order-db*
order-other > station, order-other-db*
admin-order > order*, order-other*
admin-basic > station*, train*, config*, price*, contacts*
admin-route > route*
admin-travel > travel*, travel2*
contacts > contacts-db*
station > station-db*
route > route-db*
train > train-db*
price > price-db*
payment > payment-db*
notification > mail-queue~
config > config-db*
"""
SOCIAL = """
nginx-web > compose-post, home-timeline*, user-timeline, user*, social-graph
media-frontend > media-mongodb*
compose-post > unique-id*, text*, user*, media?, post-storage*, user-timeline*, write-home-timeline~
text > url-shorten*, user-mention*
url-shorten > url-shorten-mongodb*, url-shorten-memcached?
user-mention > user-mongodb*, user-memcached?
user > user-mongodb*, user-memcached?, social-graph
write-home-timeline > social-graph*, home-timeline-redis*, write-queue*
home-timeline > home-timeline-redis*, post-storage*, social-graph
user-timeline > user-timeline-redis?*, user-timeline-mongodb*, post-storage*
post-storage > post-storage-mongodb*, post-storage-memcached?*
social-graph > social-graph-redis?*, social-graph-mongodb*, user
"""
HOTELS = """
hotel-frontend > search*, profile*, recommendation-hotels, user-hotels, reservation
search > geo*, rate*, reservation*
profile > profile-mongodb*, profile-memcached?*
geo > geo-mongodb*, consul
rate > rate-mongodb*, rate-memcached?*
recommendation-hotels > recommendation-mongodb*
user-hotels > user-hotels-mongodb*
reservation > reservation-mongodb*, reservation-memcached?*
"""
MOVIES = """
movie-nginx > compose-review, page, movie-user*
compose-review > unique-id-movies*, movie-id*, movie-text*, movie-user*, rating*, review-storage*
compose-review > user-review*, movie-review*, compose-memcached*
movie-id > movie-id-mongodb*, movie-id-memcached?*
rating > rating-redis*
page > movie-info*, cast-info*, plot*, movie-review*
movie-review > movie-review-mongodb*, movie-review-redis?*, review-storage*
user-review > user-review-mongodb*, user-review-redis?*, review-storage*
review-storage > review-storage-mongodb*, review-storage-memcached?*
movie-info > movie-info-mongodb*, movie-info-memcached?*
cast-info > cast-info-mongodb*, cast-info-memcached?*
plot > plot-mongodb*, plot-memcached?*
movie-user > movie-user-mongodb*, movie-user-memcached?*
"""
SYSTEMS = {"boutique": BOUTIQUE, "socks": SOCKS, "trains": TRAINS, "social": SOCIAL, "hotels": HOTELS, "movies": MOVIES}


def calls(text: str) -> list[tuple[str, str, str]]:
    """Caller, callee and marks of every call in a map."""
    found = []
    for line in text.strip().splitlines():
        caller, _, callees = line.partition(" > ")
        for callee in callees.split(", "):
            name = callee.rstrip("?~*")
            found.append((caller.strip(), name, callee[len(name) :]))
    return found
