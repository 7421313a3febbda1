// SPDX-License-Identifier: MIT
// A list that devices share: a server, and devices that edit offline, each in a process of its own,
// over real sockets. Kill any of them at any time, and run it again. Needs sqlite3.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>

#include <belay/posix.hpp>
#include <belay/posix/replica_listener.hpp>
#include <belay/sqlite/store.hpp>
#include <belay/sync.hpp>
#include <belay/sync/replica_link.hpp>

using namespace belay;  // in examples only
using namespace std::chrono_literals;

struct TextCodec {
    bool encode(const std::string& text, Bytes& into) const { return into = to_bytes(text), true; }
    std::optional<std::string> decode(BytesView bytes) const { return std::string{as_text(bytes)}; }
};
using Store = sqlite::Store<TextCodec>;

int fail(const std::string& why) { return std::fprintf(stderr, "%s\n", why.c_str()), 2; }

struct Rejections {  // logs each cause once per minute
    void on_rejected(const Failure& why) {
        const Instant now = SteadyClock{}.now();
        Instant& due = next.try_emplace(why.cause, always).first->second;
        if (now < due) return;
        due = after(now, 1min);
        std::fprintf(stderr, "rejected a device: %s\n", why.message().c_str());
    }
    std::map<Cause, Instant> next{};
};

// After a failed flush, it is unknown what the medium has. The supervisor starts the program
// again.
void end_if_must_reopen(const std::error_code& error) {
    if (error == QueueErrc::must_reopen) std::_Exit(75);
}
struct Failures {
    void on_operation(const OperationReport<Operation<std::string>>& operation) {
        end_if_must_reopen(operation.error);
    }
};

int serve(std::uint16_t port) {
    auto store = Store::open("server.db");
    if (!store) return fail(store.error().message());
    SyncProcessor processor{std::ref(*store), LastWriteWins{}, Failures{}};
    posix::Loop loop;
    posix::ReplicaListener server{loop, processor, TextCodec{}, {}, Rejections{}};
    if (const auto error = server.listen({"127.0.0.1", port})) return fail(error.message());
    loop.run();
    return 0;
}

struct Input {  // the lines of a user
    bool ended = false;
    std::string typed{};

    void read() {
        char bytes[4096];
        const ssize_t count = ::read(STDIN_FILENO, bytes, sizeof bytes);
        ended = count <= 0;
        if (!ended) typed.append(bytes, static_cast<std::size_t>(count));
        if (ended && !typed.empty() && typed.back() != '\n') typed += '\n';
    }
    bool has_line() const { return typed.find('\n') != std::string::npos; }
    std::string take_line() {
        const std::size_t end = typed.find('\n');
        std::string line = typed.substr(0, end);
        typed.erase(0, end + 1);
        return line;
    }
};

void print(const auto& report) {
    report.for_each([](const auto& entry) {
        const auto text = entry.text([](const std::string& value) { return value; });
        std::printf("%s\n", text.c_str());
    });
}

void show(auto& list) {
    std::size_t count = 0;
    const auto error = list.for_each([&](std::string_view id, const std::string& text) {
        std::printf("%s = %s\n", std::string{id}.c_str(), text.c_str());
        ++count;
    });
    std::printf("%zu entries%s\n", count, error ? ", and an error" : "");
}

// "milk = 2 bottles" adds or changes an entry, and "milk = " removes it.
// Returns whether the edit was taken, also if it is not durable yet.
bool edit_line(auto& list, const std::string& line) {
    const std::size_t is = line.find(" = ");
    if (is == std::string::npos) return false;
    std::string element = line.substr(0, is), text = line.substr(is + 3);
    const std::size_t waiting = list.waiting();
    const auto id = text.empty() ? list.edit(RemoveElement{std::move(element)})
                                 : list.edit(AddElement{std::move(element), std::move(text)});
    const bool taken = list.waiting() != waiting;
    if (!id) {
        std::printf("%s: %s\n", taken ? "not durable yet" : "not taken",
                    id.error().message().c_str());
    }
    return taken;
}

// Whether time may help one of these edits. One that is too old needs a new stamp.
bool need_time(const auto& kept) {
    return std::any_of(kept.begin(), kept.end(), [](const auto& one) {
        return one.retryable && one.error != SyncErrc::too_old;
    });
}

int edit(const std::string& name, std::uint16_t port) {
    auto journal = posix::Journal::open(name + ".journal");
    auto copy = Store::open(name + ".db");
    if (!journal) return fail(journal.error().message());
    if (!copy) return fail(copy.error().message());
    Replica list{std::ref(*journal), std::ref(*copy), TextCodec{}, {.session = "list"}};
    if (const auto error = list.load()) return fail(journal->explain(error).message());

    posix::Loop loop;
    part::ReplicaLink server{
        loop, posix::Tcp{loop, {"127.0.0.1", port}}, TextCodec{}, {.session = "list"}};
    Input input{};
    posix::Watch watch{loop, &input, [](void* of, short) { static_cast<Input*>(of)->read(); }};
    watch.start(STDIN_FILENO, POLLIN);

    bool due = false;
    bool retries = false;        // a timer runs
    auto retry_after = 1'000ms;  // doubles with each failure, up to a minute
    const auto sync = [&] {
        // Printed before the edits leave the journal, so that no crash loses a report.
        const auto report = list.sync(server, [](const auto& now) { print(now); });
        end_if_must_reopen(report.error);
        due = false;
        const auto kept = list.kept();
        std::printf("%zu sent, %zu received, %zu lost, %zu kept: %s\n", report.synced,
                    report.received, report.conflicts.size(), kept.size(),
                    report.error.message().c_str());
        const bool again = report.error || need_time(kept);
        if (!again) retry_after = 1s;
        // Another server's store stays another one; a person must choose.
        if (!again || report.error == SyncErrc::other_store || retries) return;
        retries = true;
        loop.after(retry_after, [&] {
            retries = false;
            due = true;
        });
        retry_after = std::min(2 * retry_after, 60'000ms);
    };
    // Without a connection, too: after some failures, only a sync connects again.
    const auto may_sync = [&] {
        const LinkState state = server.requests().status().link.state;
        return state == LinkState::connected || (state != LinkState::stopped && !retries);
    };
    while (!input.ended || input.has_line()) {
        const auto is_ready = [&] {
            due = server.take_due() || due;
            return (due && may_sync()) || input.ended || input.has_line();
        };
        if (!loop.run_until(is_ready, 1min)) due = due || !server.is_connected();
        if (due && may_sync()) sync();
        if (!input.has_line()) continue;
        const std::string line = input.take_line();
        if (line == "offline") server.requests().stop();
        if (line == "online") server.requests().start();
        if (line == "show") show(list);
        due = edit_line(list, line) || due;
        if (const auto error = journal->failed()) return fail(journal->explain(error).message());
    }
    watch.stop();
    if (due) sync();  // waits up to 1 s for a connection; else the next run sends the edits
    return 0;
}

int main(int argc, char** argv) {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    if (argc != 3) return fail("usage: shared_list server PORT | shared_list DEVICE PORT");
    const auto port = static_cast<std::uint16_t>(std::stoi(argv[2]));
    return std::string{argv[1]} == "server" ? serve(port) : edit(argv[1], port);
}
