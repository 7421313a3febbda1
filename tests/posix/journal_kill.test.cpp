// SPDX-License-Identifier: MIT
// Goal: operations that a Journal has confirmed survive the death of its process, in every mode.
// Method: processes of one and of several threads, killed at any moment, that send each
// confirmation over a pipe. BELAY_SEEDS=200000 kills a thousand times in each test.
#include <belay/posix/journal.hpp>

#include <map>
#include <thread>

#include "support/journal/kill_at_work.hpp"
#include "support/seeds.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace belay_test;

namespace {

/// A confirmation that one thread of the process received: operation `number` is its `own`th of
/// this process, and is durable. Everything up to `acked` is acknowledged.
struct Confirmation {
    std::uint64_t thread = 0;
    std::uint64_t own = 0;
    std::uint64_t number = 0;
    std::uint64_t acked = 0;
};

constexpr std::uint64_t acked_at_once = 80;

std::string text_of(std::uint64_t incarnation, std::uint64_t thread, std::uint64_t own) {
    const std::string name =
        std::to_string(incarnation) + ':' + std::to_string(thread) + ':' + std::to_string(own);
    return name + std::string((own * 7919 + thread) % 300, 'x');
}

/// The settings of a process that writes.
struct Way {
    JournalOptions options;
    std::uint64_t threads = 1;
    int per_sync = 1;  // operations that one thread appends before it syncs
    std::uint64_t seeds_per_incarnation = 50;
};

// Modes that wait for the disk have fewer processes, because a flush can take tens of milliseconds.
constexpr std::uint64_t few = 100;
constexpr std::uint64_t fewest = 200;

/// Appends, syncs and reports, until the process is killed.
void write_and_report(posix::Journal& journal, const Way& way, std::uint64_t incarnation,
                      std::uint64_t thread, ReportPipe<Confirmation> report) {
    for (std::uint64_t own = 1;;) {
        std::vector<Confirmation> entry;
        std::uint64_t acked = 0;
        // The first thread is the owner.
        if (thread == 0 && journal.durable() > journal.base() + acked_at_once) {
            acked = journal.base() - 1 + acked_at_once;
            if (journal.ack(acked)) ::_exit(3);
        }
        for (int i = 0; i < way.per_sync; ++i, ++own) {
            const auto number = journal.append(as_bytes(text_of(incarnation, thread, own)));
            if (!number) ::_exit(4);
            entry.push_back({thread, own, *number, acked});
        }
        if (way.options.flush != Flush::each && journal.commit()) ::_exit(5);
        report(std::span<const Confirmation>{entry});
    }
}

/// A process.   Returns: an error text; empty if there is none.
int live(const std::string& path, const Way& way, std::uint64_t incarnation,
         ReportPipe<Confirmation> report) {
    auto journal = posix::Journal::open(path, way.options);
    if (!journal) return 2;
    std::vector<std::thread> threads;
    for (std::uint64_t t = 0; t < way.threads; ++t) {
        threads.emplace_back([&, t] { write_and_report(*journal, way, incarnation, t, report); });
    }
    for (std::thread& thread : threads) thread.join();
    return 7;
}

/// Runs a process, and kills it after about `until` messages.   Returns: all of its reports.
std::vector<Confirmation> connect_and_end(const std::string& path, const Way& way,
                                          std::uint64_t incarnation, std::uint64_t until) {
    std::vector<Confirmation> all;
    kill_at_work<Confirmation>(
        until,
        [&](ReportPipe<Confirmation> report) { return live(path, way, incarnation, report); },
        [&all](const Confirmation& entry) { all.push_back(entry); });
    return all;
}

/// The operations that must be in the journal, by number, and those that must not return.
struct ConfirmedOperations {
    std::map<std::uint64_t, std::string> confirmed;
    std::uint64_t acked = 0;

    void receive(std::uint64_t incarnation, const std::vector<Confirmation>& all) {
        std::map<std::uint64_t, Confirmation> before;
        for (const Confirmation& entry : all) {
            // Each thread's operations have its order, and no number was given twice.
            Confirmation& previous = before[entry.thread];
            REQUIRE(entry.own == previous.own + 1);
            REQUIRE(entry.number > previous.number);
            previous = entry;
            const bool is_new =
                confirmed.emplace(entry.number, text_of(incarnation, entry.thread, entry.own))
                    .second;
            REQUIRE(is_new);
            acked = std::max(acked, entry.acked);
        }
    }
    void look_at(posix::Journal& journal, std::uint64_t from) {
        REQUIRE(journal.base() - 1 >= acked);
        // The last one may not have been reported; from here on it is known.
        REQUIRE(journal.base() - 1 <= acked + acked_at_once);
        acked = journal.base() - 1;
        confirmed.erase(confirmed.begin(), confirmed.lower_bound(journal.base()));
        if (!confirmed.empty()) REQUIRE(journal.last() >= confirmed.rbegin()->first);
        for (auto it = confirmed.lower_bound(from); it != confirmed.end(); ++it) {
            INFO("operation " << it->first);
            const auto body = journal.read(it->first);
            REQUIRE(body);
            REQUIRE(as_text(*body) == it->second);
        }
    }
};

void kill_again_and_again(const Way& way) {
    const TemporaryDirectory dir;
    ConfirmedOperations confirmed_state;
    Random bits{Seed{1}};
    std::uint64_t messages = 0;
    const std::uint64_t seeds = from_environment("BELAY_SEEDS", 2000);
    const std::uint64_t incarnations =
        std::clamp<std::uint64_t>(seeds / way.seeds_per_incarnation, 8, 1000);
    for (std::uint64_t incarnation = 1; incarnation <= incarnations; ++incarnation) {
        INFO("life " << incarnation);
        const std::vector<Confirmation> all =
            connect_and_end(dir / "q", way, incarnation, 1 + bits() % 60);
        messages += all.size();
        confirmed_state.receive(incarnation, all);
        auto journal = posix::Journal::open(dir / "q", way.options);
        REQUIRE(journal);
        // All of it at times: older operations do not change often.
        const std::uint64_t first = all.empty() ? 0 : all.front().number;
        confirmed_state.look_at(*journal,
                                incarnation % 8 == 0 || incarnation == incarnations ? 0 : first);
    }
    CHECK(messages > incarnations * 10);
    CHECK(confirmed_state.acked > 0);
}

JournalOptions options_with(Flush flush) {
    return {.flush = flush, .segment_bytes = 64 << 10, .record_bytes_max = 1024};
}

}  // namespace

TEST_CASE("Journal keeps through SIGKILL everything that it confirmed as durable",
          "[posix][journal][fault]") {
    kill_again_and_again({options_with(Flush::group), 1, 3, few});
}

TEST_CASE("Journal keeps through SIGKILL everything that it confirmed to several threads",
          "[posix][journal][fault]") {
    kill_again_and_again({options_with(Flush::group), 4, 2, few});
}

TEST_CASE("Flush::each: operations that append confirmed survive SIGKILL",
          "[posix][journal][fault]") {
    kill_again_and_again({options_with(Flush::each), 2, 1, fewest});
}

TEST_CASE("Flush::none: operations that commit confirmed survive SIGKILL",
          "[posix][journal][fault]") {
    kill_again_and_again({options_with(Flush::none), 1, 3});
}

TEST_CASE("Flush::none: operations that commit confirmed to several threads survive SIGKILL",
          "[posix][journal][fault]") {
    kill_again_and_again({options_with(Flush::none), 4, 2});
}
