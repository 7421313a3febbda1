// SPDX-License-Identifier: MIT
// Goal: a WorkQueue on real files keeps through SIGKILL everything that it confirmed: items,
// acknowledgements, keys, and counts of deliveries. Method: a child works until it is killed and
// sends each confirmation to its parent, which then opens the queue. BELAY_SEEDS=50000 kills 500
// times.
#include <belay/work/work_queue.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <belay/posix/journal.hpp>

#include "support/catch.hpp"
#include "support/journal/kill_at_work.hpp"
#include "support/seeds.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

using PosixWork = WorkQueue<posix::Journal>;

constexpr std::size_t keys_kept = 1024;

/// Small files and little slack, so that items and keys are copied, and files deleted, all the
/// time.
Result<PosixWork, WorkError> open_for_round(const std::string& path, std::uint64_t round,
                                            Moment now) {
    auto journal = posix::Journal::open(
        path, {.segment_bytes = 16 << 10, .record_bytes_max = 1024, .seed = Seed{round + 1}});
    if (!journal) return WorkError{journal.error().code, 0, "the journal"};
    return PosixWork::open(std::move(*journal),
                           {.deliveries_max = 4,
                            .count_before_lease = round % 2 == 0,
                            .keys = keys_kept,
                            .record_bytes_max = 1024,
                            .slack_bytes = 8 << 10},
                           now);
}

/// Each round is a day later: the delays and leases of the previous round have ended.
Moment start_of(std::uint64_t round) {
    const Duration day = 24h;
    const auto days = static_cast<std::int64_t>(round) * day;
    return {Instant{1s} + days, WallTime{1'700'000'000s} + days};
}

std::string text_for(std::uint64_t n) {
    return std::to_string(n) + ':' + std::string(n * 7919 % 200, 'x');
}
std::uint64_t number_in(BytesView body) { return std::stoull(std::string{as_text(body)}); }

enum class Fact : std::uint64_t {
    pushed,  // durably
    leased,  // for the `detail`-th time, which is counted durably
    ending,  // from here on the item may be removed; `detail`: without an ack
    ended    // durably
};
struct Confirmation {
    Fact fact;
    std::uint64_t n;
    std::uint64_t detail;
};

/// The child: pushes, leases, ends, returns, and abandons leases.   Returns: an error text.
template <class Report>
int work_until_killed(const std::string& path, std::uint64_t round, Report report) {
    Moment now = start_of(round);
    auto work = open_for_round(path, round, now);
    if (!work) return 1;
    Random bits{Seed{round + 1}};
    std::uint64_t next = (round + 1) << 20;
    std::vector<std::uint64_t> pushed, ended;
    if (round % 8 == 7) {
        const auto report_end = [&](const WorkItem& item) {
            ended.push_back(number_in(item.body));
            report(Confirmation{Fact::ending, ended.back(), 1});
        };
        if (work->for_each_dead(report_end) || work->purge_dead()) return 2;
    }
    for (;;) {
        now = {now.now + 5s, now.wall + 5s};
        for (int i = 0; i < 4 && work->size() < 300; ++i) {
            const std::string key = std::to_string(next);
            const Duration delay = bits() % 5 == 0 ? 20s : 0s;
            if (!work->push(as_bytes(text_for(next)), now, {.key = key, .delay = delay})) return 3;
            pushed.push_back(next++);
        }
        for (int i = 0; i < 4; ++i) {
            const auto lease = work->lease(now);
            if (!lease && lease.error() == QueueErrc::queue_empty) break;
            if (!lease) return 4;
            const std::uint64_t n = number_in(lease->body);
            if (round % 2 == 0) report(Confirmation{Fact::leased, n, lease->delivery});
            const std::uint64_t draw = bits() % 10;
            if (draw < 6) {
                report(Confirmation{Fact::ending, n, 0});
                if (work->ack(*lease)) return 5;
                ended.push_back(n);
            } else if (draw < 8) {
                if (work->nack(*lease, now, draw == 6 ? 10s : 0s)) return 6;
            }
        }
        if (work->commit()) return 7;
        for (const std::uint64_t n : pushed) report(Confirmation{Fact::pushed, n, 0});
        for (const std::uint64_t n : ended) report(Confirmation{Fact::ended, n, 0});
        pushed.clear();
        ended.clear();
    }
}

/// The parent: its records of each item that was pushed durably.
class ConfirmedState {
public:
    void receive(const Confirmation& confirmed) {
        Item& item = items_[confirmed.n];
        switch (confirmed.fact) {
            case Fact::pushed:
                item.is_durable = true;
                break;
            case Fact::leased:
                item.deliveries = std::max(item.deliveries, confirmed.detail);
                break;
            case Fact::ending:
                item.end = item.end == End::none ? End::maybe : item.end;
                item.frees_key = confirmed.detail != 0;
                break;
            case Fact::ended:
                item.end = End::durable;
                ++ended_;
                break;
        }
    }

    /// Checks the remaining items.
    void check(PosixWork& work, Moment now) {
        std::map<std::uint64_t, std::uint64_t> there;  // and how often it was leased
        const auto look = [&](const WorkItem& shown) {
            const std::uint64_t n = number_in(shown.body);
            INFO("item " << n);
            REQUIRE(as_text(shown.body) == text_for(n));
            REQUIRE(there.emplace(n, shown.deliveries).second);
            REQUIRE(shown.deliveries <= 4);
        };
        REQUIRE_FALSE(work.for_each(look));
        REQUIRE_FALSE(work.for_each_dead(look));
        for (const auto& [n, deliveries] : there) {
            INFO("item " << n);
            Item& item = items_[n];
            REQUIRE(item.end != End::durable);
            REQUIRE(deliveries >= item.deliveries);
            item = {true, End::none, deliveries};
        }
        std::erase_if(items_, [](const auto& i) { return !i.second.is_durable; });
        for (auto& [n, item] : items_) {
            if (there.contains(n)) continue;
            INFO("item " << n);
            REQUIRE(item.end != End::none);
            item.end = End::durable;
        }
        // A killed round may have pushed a few unreported items, which are in the window, too.
        auto newest = items_.rbegin();
        for (std::size_t i = 0; i < keys_kept / 3 && newest != items_.rend(); ++i, ++newest) {
            if (newest->second.frees_key) continue;
            const std::string key = std::to_string(newest->first);
            const auto again = work.push(as_bytes(text_for(newest->first)), now, {.key = key});
            INFO("item " << newest->first);
            REQUIRE(again.error() == QueueErrc::duplicate);
        }
    }

    [[nodiscard]] std::size_t pushed() const { return items_.size(); }
    [[nodiscard]] std::size_t ended() const { return ended_; }

private:
    enum class End : std::uint8_t { none, maybe, durable };
    struct Item {
        bool is_durable = false;
        End end = End::none;
        std::uint64_t deliveries = 0;  // at least
        bool frees_key = false;
    };

    std::map<std::uint64_t, Item> items_;
    std::size_t ended_ = 0;
};

}  // namespace

TEST_CASE("WorkQueue keeps through SIGKILL everything that it confirmed as durable",
          "[work][work_queue][fault]") {
    const belay_test::TemporaryDirectory dir;
    const std::uint64_t rounds =
        std::clamp<std::uint64_t>(belay_test::from_environment("BELAY_SEEDS", 2000) / 100, 8, 1000);
    ConfirmedState confirmed_state;
    Random bits{Seed{7}};
    for (std::uint64_t round = 0; round < rounds; ++round) {
        INFO("round " << round);
        belay_test::kill_at_work<Confirmation>(
            1 + bits() % 200,
            [&](auto report) { return work_until_killed(dir / "w", round, report); },
            [&](const Confirmation& confirmed) { confirmed_state.receive(confirmed); });
        auto work = open_for_round(dir / "w", round, start_of(round + 1));
        REQUIRE(work);
        confirmed_state.check(*work, start_of(round + 1));
    }
    CHECK(confirmed_state.pushed() > 10 * rounds);
    CHECK(confirmed_state.ended() > 5 * rounds);
    // Otherwise no entry was given up, or none copied.
    auto work = open_for_round(dir / "w", rounds, start_of(rounds));
    REQUIRE(work);
    CHECK(work->log().base() > 10 * rounds);
}
