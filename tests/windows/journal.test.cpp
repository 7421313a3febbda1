// SPDX-License-Identifier: MIT
// Goal: a Journal and a Session on the files of Windows keep their guarantees. Method: real files
// that are opened twice, moved and replaced, threads, and a session in a simulated network.
#include <belay/windows/journal.hpp>

#include <belay/belay.hpp>
#include <belay/journal/journal_inspect.hpp>
#include <belay/journal/journal_salvage.hpp>
#include <belay/session.hpp>
#include <belay/sim.hpp>
#include <belay/work.hpp>

#include <algorithm>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "support/journal/small_files.hpp"
#include "support/session/memory_ledger.hpp"
#include "support/text_for.hpp"
#include "support/windows/child.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

windows::Journal opened(const std::string& path, const JournalOptions& options = files_of_64k) {
    auto journal = windows::Journal::open(path, options);
    if (!journal) std::printf("%s\n", journal.error().message().c_str());
    demand(journal.has_value());
    return std::move(*journal);
}
bool has_all(windows::Journal& journal, std::uint64_t first, std::uint64_t last) {
    bool all = journal.base() == first && journal.last() == last;
    for (std::uint64_t n = first; all && n <= last; ++n) {
        const auto body = journal.read(n);
        all = body && as_text(*body) == text_for(n);
    }
    return all;
}
void append(windows::Journal& journal, int operations) {
    for (int i = 0; i < operations; ++i) {
        demand(journal.append(as_bytes(text_for(journal.last() + 1))).has_value());
    }
}

void a_journal_is_opened_again(const WindowsDirectory& dir) {
    Id id{};
    {
        auto journal = opened(dir / "outbox", {});
        expect(journal.report().created);
        id = journal.journal_id();
    }
    for (const Flush flush : {Flush::group, Flush::each, Flush::none}) {
        auto journal = opened(dir / "outbox", {.flush = flush});
        append(journal, 100);
        expect(!journal.commit() && !journal.flush() && !journal.ack(journal.base() + 9));
    }
    auto journal = opened(dir / "outbox", {});
    expect(journal.journal_id() == id && journal.run() == 5);
    expect(has_all(journal, 31, 300));
}

void it_uses_many_files_and_deletes_them(const WindowsDirectory& dir) {
    auto journal = opened(dir / "many", files_of_4k);
    for (int round = 0; round < 20; ++round) {
        append(journal, 50);
        expect(!journal.commit());
        if (round % 4 == 3) expect(!journal.ack(journal.last() - 20));
    }
    expect(has_all(journal, 981, 1000));
    expect(!journal.ack(1000) && !journal.commit());
    for (int i = 0; i < 30; ++i) expect(!journal.commit());
    // One segment, the lock, and the prepared segment.
    expect(windows::Files{}.list(dir / "many")->size() <= 2 + 4);
}

void threads_append_and_commit(const WindowsDirectory& dir) {
    constexpr std::uint64_t each = 100;
    constexpr int count = 8;
    auto journal = opened(dir / "threads");
    std::mutex mutex;
    std::vector<std::uint64_t> numbers;
    std::vector<std::thread> threads;
    for (int t = 0; t < count; ++t) {
        threads.emplace_back([&] {
            for (std::uint64_t i = 0; i < each; ++i) {
                const auto number = journal.append(as_bytes("operation"));
                const bool good = number && !journal.commit() && journal.durable() >= *number;
                const std::scoped_lock hold{mutex};
                expect(good);
                if (number) numbers.push_back(*number);
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    std::sort(numbers.begin(), numbers.end());
    expect(numbers.size() == count * each && numbers.front() == 1 &&
           numbers.back() == count * each &&
           std::adjacent_find(numbers.begin(), numbers.end()) == numbers.end());
}

void it_is_opened_once(const WindowsDirectory& dir) {
    {
        auto journal = opened(dir / "once");
        const auto second = windows::Journal::open(dir / "once", files_of_64k);
        expect(!second && second.error().code == QueueErrc::already_locked);
        expect(Child{"open \"" + (dir / "once") + "\""}.end() == 2);
        // The last file is locked, too.
        expect(!windows::Files{}.remove(dir / "once/lock"));
        const auto third = windows::Journal::open(dir / "once", files_of_64k);
        expect(!third && third.error().code == QueueErrc::already_locked);
        expect(Child{"open \"" + (dir / "once") + "\""}.end() == 2);
        append(journal, 5);
        expect(!journal.commit());
    }
    expect(Child{"open \"" + (dir / "once") + "\""}.end() == 0);
    auto journal = opened(dir / "once");
    expect(journal.run() == 3 && has_all(journal, 1, 5));
}
/// The second process of the test above.
int open_once(const std::string& path) {
    const auto journal = windows::Journal::open(path, files_of_64k);
    if (journal) return 0;
    return journal.error().code == QueueErrc::already_locked ? 2 : 3;
}

/// Moves the last file away, with or without a copy in its place.
void a_displaced_file_is_reported(const WindowsDirectory& dir, bool leave_copy) {
    const std::string path = dir / (leave_copy ? "copied" : "moved");
    {
        windows::Files files;
        auto journal = opened(path);
        append(journal, 3);
        expect(!journal.commit());
        const std::string last = path + "/0000000000000001.journal";
        expect(!files.rename(last, path + "/away"));
        if (leave_copy) std::filesystem::copy(path + "/away", last);
        append(journal, 1);
        expect(journal.commit() == QueueErrc::displaced);
        expect(journal.commit() == QueueErrc::displaced && journal.durable() == 3);
        if (leave_copy) expect(!files.remove(last));
        expect(!files.rename(path + "/away", last));
        expect(!journal.commit() && journal.durable() == 4);
    }
    auto journal = opened(path);
    expect(has_all(journal, 1, 4));
}

/// Swaps directories like a backup tool.
void a_displaced_directory_is_reported(const WindowsDirectory& dir) {
    windows::Files files;
    auto journal = opened(dir / "here");
    append(journal, 3);
    expect(!journal.commit());
    // Windows rejects it while files in the directory are open, and Wine does not.
    if (files.rename(dir / "here", dir / "there")) return;
    append(journal, 1);
    expect(journal.commit() == QueueErrc::displaced);
    expect(!files.rename(dir / "there", dir / "here"));
    expect(!journal.commit() && has_all(journal, 1, 4));
}

void an_open_journal_can_be_inspected_and_salvaged(const WindowsDirectory& dir) {
    windows::Files files;
    auto journal = opened(dir / "read");
    append(journal, 10);
    expect(!journal.commit() && !journal.ack(4));
    std::uint64_t seen = 0;
    const auto found =
        tool::inspect_journal(files, dir / "read", [&](std::uint64_t, BytesView) { ++seen; });
    expect(found && found->is_whole() && found->damages.empty() && seen == 10);
    const auto saved = tool::salvage_journal(files, dir / "read", dir / "saved");
    expect(saved.has_value() && saved->copied >= 6);
}

void its_errors_give_advice(const WindowsDirectory& dir) {
    const auto none = windows::Journal::open(dir / "none/outbox");
    expect(!none && none.error().code == std::errc::no_such_file_or_directory);
    expect(!none &&
           none.error().message().find("create the parent directory first") != std::string::npos);
    auto file = windows::Files{}.open(dir / "file", OpenMode::replace);
    const auto in_a_file = windows::Journal::open(dir / "file");
    expect(!in_a_file && !in_a_file.error().message().empty());
}

void a_work_queue_keeps_its_items(const WindowsDirectory& dir) {
    const auto moment = [](std::int64_t seconds) {
        const Duration passed{seconds * 1'000'000'000};
        return Moment{Instant{passed}, WallTime{passed}};
    };
    const auto open_at = [&](std::int64_t seconds) {
        auto work =
            WorkQueue<windows::Journal>::open(opened(dir / "work", {}), {}, moment(seconds));
        demand(work.has_value());
        return std::move(*work);
    };
    {
        auto work = open_at(0);
        expect(work.push(as_bytes("done"), moment(0)).has_value());
        expect(work.push(as_bytes("waits"), moment(0)).has_value());
        expect(work.push(as_bytes("delayed"), moment(0), {.delay = 9s}).has_value());
        const auto done = work.lease(moment(0));
        expect(done && as_text(done->body) == "done" && !work.ack(*done) && !work.commit());
    }
    auto work = open_at(3);
    expect(work.size() == 2 && work.delayed() == 1);
    const auto waits = work.lease(moment(3));
    expect(waits && as_text(waits->body) == "waits");
}

auto patience() { return Policy{Backoff{FullJitter{}, Cap{1s}, 100ms}}; }

/// The process on the client. Its journal is on the real disk.
struct Client {
    using Link = Session<sim::Tcp, decltype(patience()), Queue<windows::Journal>>;

    Client(sim::Host& host, const std::string& path)
        : session{sim::Tcp{host, "server", 1}, patience(), Queue{opened(path)},
                  SessionOptions{.id = Id{std::byte{1}}}} {
        host.attach(session);
        session.start();
    }
    Link session;
};
struct Server {
    Server(sim::Host& host, MemoryLedger& ledger) : receiver{LedgerView{ledger}} {
        host.attach(receiver);
        host.listen(1,
                    [this](sim::Accepted connection) { receiver.accept(std::move(connection)); });
    }
    Receiver<sim::Accepted, LedgerView> receiver;
};

void a_session_delivers_each_operation_once(const WindowsDirectory& dir) {
    sim::World world{Seed{1}};
    MemoryLedger ledger;
    auto& server = world.host(
        "server", [&](sim::Host& host) { return std::make_unique<Server>(host, ledger); });
    Client* client = nullptr;
    auto& host = world.host("client", [&](sim::Host& h) {
        auto made = std::make_unique<Client>(h, dir / "session");
        client = made.get();
        return made;
    });
    constexpr std::uint64_t count = 200;
    for (std::uint64_t n = 1; n <= count; ++n) {
        expect(client->session.send(as_bytes(text_for(n))).has_value());
        if (n % 40 == 0) world.restart(host);
        if (n % 70 == 0) world.restart(server);
        if (n % 30 == 0) world.run_for(100ms);
    }
    world.run_for(60s);
    bool in_order = ledger.effects.size() == count;
    for (std::uint64_t n = 1; in_order && n <= count; ++n) {
        in_order = ledger.effects[n - 1] == text_for(n);
    }
    expect(in_order);
    expect(client->session.queue().storage().run() == 6);
    expect(client->session.queue().empty());
}

}  // namespace

int main(int count, char** words) {
    if (count == 3 && std::string{words[1]} == "open") return open_once(words[2]);
    {
        const WindowsDirectory dir{"journal"};
        a_journal_is_opened_again(dir);
        it_uses_many_files_and_deletes_them(dir);
        threads_append_and_commit(dir);
        it_is_opened_once(dir);
        a_displaced_file_is_reported(dir, false);
        a_displaced_file_is_reported(dir, true);
        a_displaced_directory_is_reported(dir);
        an_open_journal_can_be_inspected_and_salvaged(dir);
        its_errors_give_advice(dir);
        a_work_queue_keeps_its_items(dir);
        a_session_delivers_each_operation_once(dir);
    }
    return exit_code();
}
