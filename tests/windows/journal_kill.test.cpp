// SPDX-License-Identifier: MIT
// Goal: operations that a Journal on the files of Windows has confirmed survive the death of its
// process, in every mode. Method: as posix/journal_kill.test.cpp, with TerminateProcess.
#include <belay/windows/journal.hpp>

#include <algorithm>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <belay/core/random.hpp>

#include "support/windows/child.hpp"

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
    Flush flush = Flush::group;
    std::uint64_t threads = 1;
    int per_sync = 1;  // operations that one thread appends before it syncs
    std::uint64_t kills = 1;
};
constexpr Way ways[] = {{Flush::group, 1, 3, 10},
                        {Flush::group, 4, 2, 10},
                        {Flush::each, 2, 1, 6},
                        {Flush::none, 4, 2, 6}};

JournalOptions options_of(const Way& way) {
    return {.flush = way.flush, .segment_bytes = 64 << 10, .record_bytes_max = 1024};
}

/// Appends, commits and reports, until the process is killed.
void write_and_report(windows::Journal& journal, const Way& way, std::uint64_t incarnation,
                      std::uint64_t thread, std::mutex& reporting) {
    for (std::uint64_t own = 1;;) {
        std::vector<Confirmation> all;
        std::uint64_t acked = 0;
        // The first thread is the owner.
        if (thread == 0 && journal.durable() > journal.base() + acked_at_once) {
            acked = journal.base() - 1 + acked_at_once;
            if (journal.ack(acked)) std::_Exit(3);
        }
        for (int i = 0; i < way.per_sync; ++i, ++own) {
            const auto number = journal.append(as_bytes(text_of(incarnation, thread, own)));
            if (!number) std::_Exit(4);
            all.push_back({thread, own, *number, acked});
        }
        if (way.flush != Flush::each && journal.commit()) std::_Exit(5);
        const std::scoped_lock hold{reporting};
        for (const Confirmation& one : all) report_to_parent(one);
    }
}

/// Runs the process that is killed.   Returns: an error text; empty if there is none.
int live(const std::string& path, const Way& way, std::uint64_t incarnation) {
    auto journal = windows::Journal::open(path, options_of(way));
    if (!journal) return 2;
    std::mutex reporting;
    std::vector<std::thread> threads;
    for (std::uint64_t t = 0; t < way.threads; ++t) {
        threads.emplace_back(
            [&, t] { write_and_report(*journal, way, incarnation, t, reporting); });
    }
    for (std::thread& thread : threads) thread.join();
    return 7;
}

/// The operations that must be in the journal, by number, and those that must not return.
struct ConfirmedOperations {
    std::map<std::uint64_t, std::string> confirmed;
    std::uint64_t acked = 0;

    void receive(std::uint64_t incarnation, const std::vector<Confirmation>& all) {
        std::map<std::uint64_t, Confirmation> before;
        for (const Confirmation& one : all) {
            // Each thread's operations have its order, and no number was given twice.
            Confirmation& previous = before[one.thread];
            demand(one.own == previous.own + 1 && one.number > previous.number);
            previous = one;
            demand(confirmed.emplace(one.number, text_of(incarnation, one.thread, one.own)).second);
            acked = std::max(acked, one.acked);
        }
    }
    void look_at(windows::Journal& journal) {
        demand(journal.base() - 1 >= acked);
        // The last acknowledgement may not have been reported.
        demand(journal.base() - 1 <= acked + acked_at_once);
        acked = journal.base() - 1;
        confirmed.erase(confirmed.begin(), confirmed.lower_bound(journal.base()));
        if (!confirmed.empty()) demand(journal.last() >= confirmed.rbegin()->first);
        for (const auto& [number, text] : confirmed) {
            const auto body = journal.read(number);
            demand(body.has_value() && as_text(*body) == text);
        }
    }
};

void kill_again_and_again(std::size_t which) {
    const Way& way = ways[which];
    const WindowsDirectory dir{"kill-" + std::to_string(which)};
    ConfirmedOperations state;
    Random bits{Seed{which + 1}};
    std::uint64_t reports = 0;
    for (std::uint64_t incarnation = 1; incarnation <= way.kills; ++incarnation) {
        std::vector<Confirmation> all;
        {
            Child child{std::to_string(which) + " " + std::to_string(incarnation) + " \"" +
                        (dir / "q") + "\""};
            Confirmation one;
            // The kill is at any moment after this many reports: the child continues meanwhile.
            const std::uint64_t until = 1 + bits() % 200;
            while (all.size() < until && child.next(one)) all.push_back(one);
            demand(child.kill() == Child::killed);
            while (child.next(one)) all.push_back(one);
        }
        reports += all.size();
        state.receive(incarnation, all);
        auto journal = windows::Journal::open(dir / "q", options_of(way));
        if (!journal) std::printf("%s\n", journal.error().message().c_str());
        demand(journal.has_value());
        state.look_at(*journal);
    }
    expect(reports > way.kills * 10);
    expect(state.acked > 0);
    std::printf("%llu kills, %llu reports\n", static_cast<unsigned long long>(way.kills),
                static_cast<unsigned long long>(reports));
}

}  // namespace

int main(int count, char** words) {
    if (count == 4) {
        return live(words[3], ways[std::stoul(words[1])], std::stoull(words[2]));
    }
    for (std::size_t which = 0; which < std::size(ways); ++which) kill_again_and_again(which);
    return exit_code();
}
