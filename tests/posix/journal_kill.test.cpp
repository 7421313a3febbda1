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

/// What one thread of the process was told: operation `number` is its `own`th of this life, and is
/// durable; and up to `acked` all is given up for good.
struct Confirmation {
    std::uint64_t thread = 0;
    std::uint64_t own = 0;
    std::uint64_t number = 0;
    std::uint64_t acked = 0;
};

constexpr std::uint64_t acked_at_once = 80;

std::string text_of(std::uint64_t life, std::uint64_t thread, std::uint64_t own) {
    const std::string name =
        std::to_string(life) + ':' + std::to_string(thread) + ':' + std::to_string(own);
    return name + std::string((own * 7919 + thread) % 300, 'x');
}

/// How a process writes.
struct Way {
    JournalOptions options;
    std::uint64_t threads = 1;
    int per_sync = 1;  // operations that one thread appends before it syncs
    std::uint64_t seeds_per_life = 50;
};

// What waits for the disk has fewer lives: a flush can take tens of milliseconds.
constexpr std::uint64_t few = 100;
constexpr std::uint64_t fewest = 200;

/// Appends, syncs and tells, until the process is killed.
void write_and_tell(posix::Journal& journal, const Way& way, std::uint64_t life,
                    std::uint64_t thread, ReportPipe<Confirmation> tell) {
    for (std::uint64_t own = 1;;) {
        std::vector<Confirmation> told;
        std::uint64_t acked = 0;
        // The first thread is the owner.
        if (thread == 0 && journal.durable() > journal.base() + acked_at_once) {
            acked = journal.base() - 1 + acked_at_once;
            if (journal.ack(acked)) ::_exit(3);
        }
        for (int i = 0; i < way.per_sync; ++i, ++own) {
            const auto number = journal.append(as_bytes(text_of(life, thread, own)));
            if (!number) ::_exit(4);
            told.push_back({thread, own, *number, acked});
        }
        if (way.options.flush != Flush::each && journal.commit()) ::_exit(5);
        tell(std::span<const Confirmation>{told});
    }
}

/// A process.   Returns: what is wrong.
int live(const std::string& path, const Way& way, std::uint64_t life,
         ReportPipe<Confirmation> tell) {
    auto journal = posix::Journal::open(path, way.options);
    if (!journal) return 2;
    std::vector<std::thread> threads;
    for (std::uint64_t t = 0; t < way.threads; ++t) {
        threads.emplace_back([&, t] { write_and_tell(*journal, way, life, t, tell); });
    }
    for (std::thread& thread : threads) thread.join();
    return 7;
}

/// Runs a process, and kills it after about `until` messages.   Returns: all that it told.
std::vector<Confirmation> live_and_die(const std::string& path, const Way& way, std::uint64_t life,
                                       std::uint64_t until) {
    std::vector<Confirmation> all;
    kill_at_work<Confirmation>(
        until, [&](ReportPipe<Confirmation> tell) { return live(path, way, life, tell); },
        [&all](const Confirmation& told) { all.push_back(told); });
    return all;
}

/// What must be in the journal, by number, and what may not come back.
struct ConfirmedOperations {
    std::map<std::uint64_t, std::string> confirmed;
    std::uint64_t acked = 0;

    void hear(std::uint64_t life, const std::vector<Confirmation>& all) {
        std::map<std::uint64_t, Confirmation> before;
        for (const Confirmation& told : all) {
            // Each thread's operations have its order, and no number was given twice.
            Confirmation& previous = before[told.thread];
            REQUIRE(told.own == previous.own + 1);
            REQUIRE(told.number > previous.number);
            previous = told;
            const bool is_new =
                confirmed.emplace(told.number, text_of(life, told.thread, told.own)).second;
            REQUIRE(is_new);
            acked = std::max(acked, told.acked);
        }
    }
    void look_at(posix::Journal& journal, std::uint64_t from) {
        REQUIRE(journal.base() - 1 >= acked);
        // The last one was not told, maybe; from here on it is known.
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
    ConfirmedOperations witness;
    Random bits{Seed{1}};
    std::uint64_t messages = 0;
    const std::uint64_t seeds = from_environment("BELAY_SEEDS", 2000);
    const std::uint64_t lives = std::clamp<std::uint64_t>(seeds / way.seeds_per_life, 8, 1000);
    for (std::uint64_t life = 1; life <= lives; ++life) {
        INFO("life " << life);
        const std::vector<Confirmation> all = live_and_die(dir / "q", way, life, 1 + bits() % 60);
        messages += all.size();
        witness.hear(life, all);
        auto journal = posix::Journal::open(dir / "q", way.options);
        REQUIRE(journal);
        // All of it now and then; what is older cannot have changed by much.
        const std::uint64_t first = all.empty() ? 0 : all.front().number;
        witness.look_at(*journal, life % 8 == 0 || life == lives ? 0 : first);
    }
    CHECK(messages > lives * 10);
    CHECK(witness.acked > 0);
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
