// SPDX-License-Identifier: MIT
// Work that must not be lost: a durable queue, delivered exactly once over real sockets. The server
// is down when the work is accepted, and starts later.
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include <belay/belay.hpp>
#include <belay/posix.hpp>

#include "ledger_in_memory.hpp"

using namespace belay;  // in examples only
using namespace std::chrono_literals;

namespace {

using Ledgers = Receiver<posix::Accepted<>, LedgerInMemory>;

/// A directory that is removed at the end.
struct Scratch {
    Scratch() {
        std::string pattern = std::filesystem::temp_directory_path() / "belay-session-XXXXXX";
        if (::mkdtemp(pattern.data()) != nullptr) path = pattern;
    }
    ~Scratch() {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }
    std::string path;
};

}  // namespace

int main() {
    const Scratch scratch;
    posix::Loop<> loop;
    LedgerStorage storage;
    Ledgers receiver{LedgerInMemory{storage}};
    loop.attach(receiver);
    posix::Listener listener{
        loop, [&](posix::Accepted<> connection) { receiver.accept(std::move(connection)); }};
    if (listener.listen({"127.0.0.1", 0})) return 2;
    const posix::Endpoint peer{"127.0.0.1", listener.port()};
    listener.close();  // the server is down

    const Policy policy{Backoff{FullJitter{}, Cap{100ms}, 5ms}, ResetWhenStable{1s}};
    auto journal = posix::Journal::open(scratch.path + "/outbox", {.flush = Flush::group});
    if (!journal) return std::printf("%s\n", journal.error().message().c_str()), 2;
    Session session{posix::Tcp{loop, peer}, policy, Queue{std::move(journal).value()},
                    SessionOptions{.id = Id{std::byte{1}}}};
    loop.attach(session);
    session.start();
    for (const char* const operation : {"buy milk", "feed the cat", "call home"}) {
        if (!session.send(as_bytes(operation))) return 1;
    }
    if (session.commit()) return 1;  // durable: it will be delivered, also after a crash
    std::printf("durable: %d, delivered: %zu\n", static_cast<int>(session.status().accepted),
                storage.delivered.size());

    loop.run_until([] { return false; }, 50ms);  // attempts fail, and nothing is lost
    std::printf("the server is down: %s\n", to_string(session.status().link.state).data());
    if (listener.listen(peer)) return 2;
    const bool all = loop.run_until([&] { return session.status().acknowledged == 3; }, 10s);
    for (const std::string& done : storage.delivered) std::printf("delivered: %s\n", done.c_str());
    return all && storage.delivered.size() == 3 ? 0 : 1;
}
