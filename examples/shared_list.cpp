// SPDX-License-Identifier: MIT
// A list that devices share: a server, and devices that edit offline, each in a process of its own,
// over real sockets. Kill any of them at any time, and run it again. Needs sqlite3.
#include <unistd.h>

#include <cstdio>
#include <list>

#include <belay/adapter/sqlite_store.hpp>
#include <belay/belay.hpp>
#include <belay/posix.hpp>
#include <belay/sync.hpp>
#include <belay/sync/link_exchange.hpp>
#include <belay/sync/remote_sync_server.hpp>
#include <belay/sync/replica.hpp>
#include <belay/sync/replica_server.hpp>

using namespace belay;  // in examples only
using namespace std::chrono_literals;

struct TextCodec {
    bool encode(const std::string& text, Bytes& into) const { return into = to_bytes(text), true; }
    std::optional<std::string> decode(BytesView bytes) const { return std::string{as_text(bytes)}; }
};
using Store = sqlite::Store<TextCodec>;

int fail(const std::string& why) { return std::fprintf(stderr, "%s\n", why.c_str()), 2; }

struct Server {  // the observer of each connection
    using Transport = Heartbeat<posix::Accepted<>>;
    using Client = Supervisor<Transport, MaxAttempts, std::reference_wrapper<Server>>;

    SyncProcessor<std::reference_wrapper<Store>, LastWriteWins> processor;
    part::ReplicaServer<decltype(processor), TextCodec> replicas{processor, TextCodec{}};
    std::list<Client> clients{};

    void on_message(Client& from, const Bytes& question) {
        const auto answer = replicas.answer(question);
        static_cast<void>(from.send(answer.bytes));
        for (Client& one : clients) {
            const bool tells = answer.changed && &one != &from;
            if (tells) static_cast<void>(one.send(part::SyncMessages::notice()));
        }
    }
};

int serve(std::uint16_t port) {
    auto store = Store::open("list.db");
    if (!store) return fail(store.error().message());
    posix::Loop loop;
    Server server{SyncProcessor{std::ref(*store), LastWriteWins{}}};
    posix::Listener listener{
        loop, [&](posix::Accepted<> accepted) {
            auto& all = server.clients;
            std::erase_if(all, [](auto& one) { return one.status().state == LinkState::failed; });
            all.emplace_back(Server::Transport{std::move(accepted), {}}, MaxAttempts{1},
                             std::ref(server));
            loop.attach(all.back());
            all.back().start();
        }};
    if (const auto error = listener.listen({"127.0.0.1", port})) return fail(error.message());
    loop.run();
    return 0;
}

struct Device {  // the observer of its link
    bool connected = false, due = false, ended = false;
    std::string typed{};

    void on_state(const Transition& change) {
        connected = due = change.to.state == LinkState::connected;
    }
    void on_message(const Bytes& message) { due = due || part::SyncMessages::is_notice(message); }
    void read() {
        char bytes[4096];
        const ssize_t count = ::read(STDIN_FILENO, bytes, sizeof bytes);
        ended = count <= 0;
        if (!ended) typed.append(bytes, static_cast<std::size_t>(count));
    }
};

int edit(const std::string& name, std::uint16_t port) {
    auto journal = posix::Journal::open(name + ".journal");
    auto copy = Store::open(name + ".db");
    if (!journal || !copy) return fail("cannot open the files of " + name);
    Replica list{std::ref(*journal), std::ref(*copy), TextCodec{}, {.session = "list"}};
    if (const auto error = list.load()) return fail(journal->explain(error).message());

    posix::Loop loop;
    Device device{};
    const Policy policy{Backoff{FullJitter{}, Cap{1s}, 10ms}, ResetWhenStable{10s}};
    Requests link{posix::Tcp{loop, {"127.0.0.1", port}, LengthPrefixed{}}, policy,
                  part::SyncMessages{}, std::ref(device)};
    loop.attach(link);
    link.start();
    part::RemoteSyncServer server{part::LinkExchange{link, loop}, TextCodec{}, {.session = "list"}};
    posix::Watch input{loop, &device, [](void* of, short) { static_cast<Device*>(of)->read(); }};
    input.start(STDIN_FILENO, POLLIN);

    for (std::size_t end = 0; !device.ended;) {
        const auto has_line = [&] { return (end = device.typed.find('\n')) != std::string::npos; };
        loop.run_until([&] { return device.due || device.ended || has_line(); });
        if (std::exchange(device.due, false)) {
            const auto report = list.sync(server);
            std::printf("%zu sent, %zu received, %zu lost, %zu kept: %s\n", report.synced,
                        report.received, report.conflicts.size(), list.kept().size(),
                        report.error.message().c_str());
            if (report.error) loop.after(1s, [&] { device.due = device.connected; });
        }
        if (!has_line()) continue;
        const std::string line = device.typed.substr(0, end);
        device.typed.erase(0, end + 1);
        if (line == "offline") link.stop();
        if (line == "online") link.start();
        if (line == "show") {
            std::size_t count = 0;
            const auto error = list.for_each([&](std::string_view id, const std::string& text) {
                std::printf("%s = %s\n", std::string{id}.c_str(), text.c_str());
                ++count;
            });
            std::printf("%zu entries%s\n", count, error ? ", and an error" : "");
        }
        const std::size_t is = line.find(" = ");  // "milk = 2 bottles"; "milk = " removes it
        if (is == std::string::npos) continue;
        decltype(list)::Action action = AddElement{line.substr(0, is), line.substr(is + 3)};
        if (is + 3 == line.size()) action = RemoveElement{line.substr(0, is)};
        if (const auto id = list.edit(std::move(action)); !id) return fail(id.error().message());
        device.due = device.connected;
    }
    return 0;
}

int main(int argc, char** argv) {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    if (argc != 3) return fail("usage: shared_list server PORT | shared_list DEVICE PORT");
    const auto port = static_cast<std::uint16_t>(std::stoi(argv[2]));
    return std::string{argv[1]} == "server" ? serve(port) : edit(argv[1], port);
}
