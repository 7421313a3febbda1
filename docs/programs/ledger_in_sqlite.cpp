// SPDX-License-Identifier: MIT
#include <cstdio>
#include <cstdlib>
#include <string>

#include <belay/belay.hpp>
#include <belay/posix.hpp>
#include <belay/session.hpp>
#include <belay/sqlite/ledger.hpp>  // link sqlite3
using namespace belay;
using namespace std::chrono_literals;

// excerpt: begin
std::error_code store(sqlite3& db, const Id& shop, BytesView order) {
    const auto error = sqlite::write(db, "INSERT INTO orders (shop, text) VALUES (?, ?)", BytesView{shop}, as_text(order));
    if (error != std::errc::invalid_argument) return error;  // the sender sends it again
    // A constraint rejects it, and always will: the orders behind it must not wait for it.
    return sqlite::write(db, "INSERT INTO rejected (shop, text) VALUES (?, ?)", BytesView{shop}, as_text(order));
}
// excerpt: end

struct Observer {
    void on_ledger_failed(std::error_code error) {
        std::fprintf(stderr, "shop.db: %s\n", error.message().c_str());
        std::_Exit(75);  // the supervisor starts it again
    }
};

int main() {
    const Id shop{std::byte{1}};  // a real program draws it once, and stores it
    posix::Loop loop;
    // The server; a process of its own.
    // excerpt: begin
    auto ledger = sqlite::Ledger::open("shop.db", store);
    if (!ledger) return std::puts(ledger.error().message().c_str()), 1;
    // excerpt: end
    for (const char* const table : {"orders (shop BLOB, text TEXT CHECK (text <> ''))", "rejected (shop BLOB, text TEXT)"}) {
        const auto error = sqlite::write(ledger->connection(), ("CREATE TABLE IF NOT EXISTS " + std::string{table}).c_str());
        if (error) return std::puts(error.message().c_str()), 1;
    }
    const auto is_shop = [&](const Id& sender, BytesView) {
        return sender == shop ? std::error_code{} : make_error_code(SessionErrc::unauthorized);
    };
    // excerpt: begin
    Receiver<posix::Accepted<>, sqlite::Ledger, decltype(is_shop), Observer> receiver{std::move(*ledger), is_shop};
    loop.attach(receiver);
    // excerpt: end
    posix::Listener listener{loop, [&](posix::Accepted<> client) { receiver.accept(std::move(client)); }};
    if (const auto error = listener.listen(posix::UnixPath{"shop.sock"})) return std::puts(error.message().c_str()), 1;

    // The shop. It may be killed at any time, and so may the server.
    auto outbox = posix::Journal::open("outbox", {.flush = Flush::group});
    if (!outbox) return std::puts(outbox.error().message().c_str()), 1;
    Session session{posix::Unix{loop, posix::UnixPath{"shop.sock"}}, Policy{Backoff{FullJitter{}, Cap{1s}, 10ms}, ResetWhenStable{10s}},
                    Queue{std::move(*outbox)}, SessionOptions{.id = shop}};
    loop.attach(session);
    session.start();
    for (const char* const order : {"two apples", "", "a pear"}) {
        if (!session.send(as_bytes(order))) return 1;
    }
    if (!loop.run_until([&] { return session.depth() == 0; }, 10s)) return 1;
    std::puts("delivered");
}
