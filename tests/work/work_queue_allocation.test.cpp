// SPDX-License-Identifier: MIT
// Goal: WorkQueue::commit and flush return an error when memory runs out, lose nothing, and
// continue later. Method: one history made again and again, with memory that ends at each
// allocation of its flush.
#include <belay/work/work_queue.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/failing_new.hpp"
#include "support/seeds.hpp"
#include "support/work/start_times.hpp"
#include "support/work/work_queue_steps.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::FailingNew;
using belay_test::MemoryLog;
using belay_test::MemoryMedium;
using belay_test::pass_through;
using belay_test::SpareMemory;
using belay_test::when;

namespace {

/// Allocates in `read` only, as a LogLike must, because noexcept functions must not fail for lack
/// of memory.
class SparingLog : public MemoryLog {
public:
    using MemoryLog::MemoryLog;
    [[nodiscard]] Result<std::uint64_t> append(BytesView body) noexcept {
        const SpareMemory spare;
        return MemoryLog::append(body);
    }
    [[nodiscard]] std::error_code commit() noexcept {
        const SpareMemory spare;
        return MemoryLog::commit();
    }
    [[nodiscard]] std::error_code ack(std::uint64_t up_to) noexcept {
        const SpareMemory spare;
        return MemoryLog::ack(up_to);
    }
    [[nodiscard]] std::error_code flush() noexcept { return commit(); }
    [[nodiscard]] bool unflushed() const noexcept { return durable() != last(); }
};
using SparingWork = WorkQueue<SparingLog>;
static_assert(FlushableLike<SparingWork>);
static_assert(noexcept(std::declval<SparingWork&>().commit()));

constexpr auto lacks_memory = std::errc::not_enough_memory;

SparingWork open_sparing(MemoryMedium& medium, const WorkOptions& options, Moment moment = when) {
    auto opened = SparingWork::open(SparingLog{medium}, options, moment);
    REQUIRE(opened);
    return std::move(*opened);
}

/// The state of the queue after an opening, item by item; deliveries in progress do not count.
std::vector<std::string> listed(SparingWork& work) {
    std::vector<std::string> lines;
    const auto list = [&lines](const WorkItem& item) {
        const std::uint32_t open = item.state == WorkItem::State::leased ? 1 : 0;
        lines.push_back(std::to_string(item.id) + ' ' + std::to_string(item.deliveries - open) +
                        (item.state == WorkItem::State::dead ? " dead " : " ") +
                        std::string{as_text(item.body)});
    };
    REQUIRE_FALSE(work.for_each(list));
    REQUIRE_FALSE(work.for_each_dead(list));
    return lines;
}
/// All bodies with their ids, dead or not, in order.
std::vector<std::string> bodies(SparingWork& work) {
    std::vector<std::string> lines;
    const auto list = [&lines](const WorkItem& item) {
        lines.push_back(std::to_string(item.id) + ' ' + std::string{as_text(item.body)});
    };
    REQUIRE_FALSE(work.for_each(list));
    REQUIRE_FALSE(work.for_each_dead(list));
    std::sort(lines.begin(), lines.end());
    return lines;
}

/// Works until the queue would need more memory, or until no work is left.
template <class Call>
void until_memory_lacks(Call call) {
    int calls = 0;
    try {
        const FailingNew memory{0};
        // Further work needs memory, if operator new is that of counting_new.hpp.
        while (++calls < 100'000 && call()) {
        }
    } catch (const std::bad_alloc&) {
    }
    REQUIRE(calls < 100'000);
}

/// A history that leaves much work to a flush: ends out of order, copies, and notes without space.
class History {
public:
    explicit History(Seed seed) : bits_{seed} {
        options_.deliveries_max = 4;
        options_.lease = 50ms;
        options_.keys = bits_() % 2 * 8;
        options_.slack_bytes = bits_() % 2 * 2000;
        work_.emplace(open_sparing(medium_, options_));
        for (std::uint64_t left = 50 + bits_() % 400; left != 0; --left) step();
        // The memory that an opening has not used yet is small, and grows in the flush.
        if (bits_() % 2 == 0) reopen();
        set_full(false);
        // `lease` copies items that are due, and does not see these ends. The tables become full,
        // too.
        until_memory_lacks([this] { return lease_next(); });
        while (!leases_.empty() && bits_() % 16 != 0) end_one();
        until_memory_lacks([this] { return work_->push(as_bytes("x"), now_).has_value(); });
    }

    SparingWork& work() { return *work_; }
    MemoryMedium& medium() { return medium_; }
    /// The power fails, and the queue is opened again.
    std::vector<std::string> after_crash() {
        work_.reset();
        medium_.crash();
        work_.emplace(open_sparing(medium_, options_, now_));
        return listed(*work_);
    }

private:
    void step() {
        now_ = {now_.now + 1ms, now_.wall + 1ms};
        const std::uint64_t draw = bits_() % 100;
        if (draw < 45) {
            push();
        } else if (draw < 70) {
            lease_next();
        } else if (draw < 92) {
            if (!leases_.empty()) end_one();
        } else if (draw < 94) {
            static_cast<void>(work_->commit());
        } else {
            set_full(draw < 96);
        }
    }
    void push() {
        const std::string body(bits_() % 8 == 0 ? bits_() % 3000 : bits_() % 20, 'b');
        const std::string key = std::to_string(++pushed_);
        PushOptions with;
        if (bits_() % 4 == 0) with.delay = milliseconds(200);
        if (options_.keys != 0 && bits_() % 2 == 0) with.key = key;
        static_cast<void>(work_->push(as_bytes(body), now_, with));
    }
    bool lease_next() {
        const auto lease = work_->lease(now_);
        const SpareMemory spare;
        if (lease) leases_.push_back(*lease);
        return lease.has_value();
    }
    void end_one() {
        const auto which = leases_.begin() + static_cast<std::ptrdiff_t>(bits_() % leases_.size());
        if (bits_() % 5 == 0) {
            static_cast<void>(work_->nack(*which, now_, milliseconds(50)));
        } else {
            static_cast<void>(work_->ack(*which));
        }
        leases_.erase(which);
    }
    Duration milliseconds(std::uint64_t below) {
        return std::chrono::milliseconds{bits_() % below};
    }
    void reopen() {
        set_full(false);
        leases_.clear();
        work_.reset();
        work_.emplace(open_sparing(medium_, options_, now_));
    }
    void set_full(bool full) {
        medium_.fails_with = std::make_error_code(std::errc::no_space_on_device);
        medium_.fails_from = full ? 0 : ~std::uint64_t{0};
    }

    Random bits_;
    MemoryMedium medium_;
    WorkOptions options_;
    std::optional<SparingWork> work_;
    std::vector<Lease> leases_;
    Moment now_ = when;
    int pushed_ = 0;
};

}  // namespace

TEST_CASE("WorkQueue::flush loses no item when memory ends at any of its allocations",
          "[work][work_queue][fault]") {
    std::size_t failed = 0;
    std::size_t histories = 0;
    belay_test::for_each_seed(
        [&](Seed seed) {
            ++histories;
            // The list is that of a second queue: listing reads, which takes the memory that a
            // flush would need.
            const std::vector<std::string> before = listed(History{seed}.work());
            for (std::size_t good = 0;; ++good) {
                INFO("memory ends after " << good << " allocations");
                History history{seed};
                SparingWork& work = history.work();
                std::error_code error;
                std::size_t lacked = 0;
                {
                    const FailingNew memory{good};
                    error = work.flush();
                    lacked = memory.failed();
                }
                REQUIRE(error ==
                        (lacked != 0 ? std::make_error_code(lacks_memory) : std::error_code{}));
                REQUIRE_FALSE(work.failed());
                // Ends may be lost, and pushed items are durable.
                REQUIRE(history.medium().durable == history.medium().last);
                REQUIRE(listed(work) == before);
                REQUIRE_FALSE(work.flush());
                REQUIRE_FALSE(work.unflushed());
                REQUIRE(listed(work) == before);
                REQUIRE(history.after_crash() == before);
                if (lacked == 0) break;
                failed += lacked;
            }
        },
        300);
    CHECK(failed >= histories / 4);
}

TEST_CASE("WorkQueue::flush without memory keeps all items over a loss of power",
          "[work][work_queue][fault]") {
    belay_test::for_each_seed(
        [](Seed seed) {
            History history{seed};
            SparingWork& work = history.work();
            const std::vector<std::string> before = bodies(History{seed}.work());
            {
                const FailingNew memory{0};
                static_cast<void>(work.flush());
            }
            static_cast<void>(history.after_crash());
            // More items may be there, whose ends were not noted.
            const std::vector<std::string> after = bodies(history.work());
            REQUIRE(std::includes(after.begin(), after.end(), before.begin(), before.end()));
        },
        300);
}

TEST_CASE("WorkQueue::commit makes pushes durable, also if no acknowledgement can be recorded",
          "[work][work_queue][fault]") {
    MemoryMedium medium;
    SparingWork work = open_sparing(medium, {});
    // The table of entries is full: the next entry needs memory.
    for (int i = 0; i < 255; ++i) REQUIRE(work.push(as_bytes("x"), when));
    REQUIRE(work.lease(when));
    const auto second = work.lease(when);
    REQUIRE(second);
    REQUIRE_FALSE(work.ack(*second));
    for (int again = 0; again < 3; ++again) {
        const FailingNew memory{0};
        const std::error_code error = work.commit();
        const SpareMemory spare;
        REQUIRE(error == lacks_memory);
        CHECK(memory.failed() == 1);
        CHECK(medium.durable == 255);
        CHECK(work.unflushed());
        CHECK_FALSE(work.failed());
    }
    CHECK(medium.last == 255);
    CHECK_FALSE(work.commit());
    CHECK(medium.last == 256);
    medium.crash();
    SparingWork opened = open_sparing(medium, {});
    CHECK(opened.size() == 254);
    CHECK(opened.read(2).error() == QueueErrc::unknown_number);
}

TEST_CASE("WorkQueue::commit copies items later when it runs out of memory",
          "[work][work_queue][fault]") {
    MemoryMedium medium;
    {
        SparingWork work = open_sparing(medium, {});
        REQUIRE(work.push(as_bytes("front"), when));
        REQUIRE(work.lease(when));
        for (int i = 0; i < 60; ++i) {
            REQUIRE(work.push(Bytes(1000), when));
            const auto lease = work.lease(when);
            REQUIRE(lease);
            REQUIRE_FALSE(work.ack(*lease));
        }
        REQUIRE_FALSE(work.commit());
    }
    // The first item has no slot yet, and must be copied, and no slot is free for it.
    SparingWork work = open_sparing(medium, {.slack_bytes = 100});
    REQUIRE(work.push(as_bytes("later"), when, {.delay = 1h}));
    until_memory_lacks(
        [&] { return work.push(as_bytes("later"), when, {.delay = 1h}).has_value(); });
    const std::size_t size = work.size();
    const std::uint64_t first = medium.base;
    {
        const FailingNew memory{0};
        const std::error_code error = work.commit();
        const SpareMemory spare;
        CHECK(error == lacks_memory);
        CHECK(memory.failed() == 1);
    }
    CHECK(medium.durable == medium.last);
    CHECK(medium.base == first);
    CHECK(work.size() == size);
    CHECK_FALSE(work.commit());
    CHECK(medium.base > first);
    CHECK(work.size() == size);
    medium.crash();
    SparingWork opened = open_sparing(medium, {});
    CHECK(opened.size() == size);
    const auto kept = opened.read(1);
    REQUIRE(kept);
    CHECK(as_text(*kept) == "front");
}

TEST_CASE("WorkQueue reserves space for both ids of an unreadable copy that is finished",
          "[work][work_queue][regression]") {
    MemoryMedium medium;
    {
        SparingWork work = open_sparing(medium, {.slack_bytes = 1000});
        // The first item stays at the front, so that the base of the log does not show which items
        // have ended.
        REQUIRE(work.push(as_bytes("in front"), when, {.delay = 9h}));
        REQUIRE(work.push(as_bytes("copied"), when, {.delay = 1h}));
        pass_through(work, 60, when);
    }
    SparingWork work = open_sparing(medium, {});
    medium.damaged = {entries_of_kind(medium, detail::WorkKind::moved).back()};
    REQUIRE(work.read(2).error() == QueueErrc::corrupt);
    // One more end, and the list has its largest length before it is noted.
    for (int i = 0; i < 63; ++i) REQUIRE(work.push(as_bytes("x"), when));
    for (int i = 0; i < 63; ++i) {
        const auto lease = work.lease(when);
        REQUIRE(lease);
        REQUIRE_FALSE(work.ack(*lease));
    }
    REQUIRE(work.lease({when.now + 2h, when.wall + 2h}).error() == QueueErrc::queue_empty);
    REQUIRE(work.dead() == 1);
    const std::uint64_t last = medium.last;
    {
        const FailingNew memory{0};
        const std::error_code error = work.purge_dead();
        const SpareMemory spare;
        CHECK_FALSE(error);
        CHECK(memory.failed() == 0);
    }
    CHECK(work.dead() == 0);
    CHECK(medium.last == last);
}

TEST_CASE("WorkQueue::purge that runs out of memory keeps the rest, and another call removes it",
          "[work][work_queue][regression]") {
    int interrupted = 0;
    for (int extra = 0; extra < 140; ++extra) {
        MemoryMedium medium;
        SparingWork work = open_sparing(medium, {});
        // The first item becomes dead and stays, so that the base of the log does not show which
        // items have ended.
        REQUIRE(work.push(as_bytes("in front"), when, {.expires_after = 1ms}));
        const int items = 200 + extra;
        for (int i = 0; i < items; ++i) REQUIRE(work.push(as_bytes("x"), when));
        REQUIRE(work.lease({when.now + 1s, when.wall + 1s}));
        REQUIRE(work.dead() == 1);
        const std::size_t before = work.size();
        bool threw = false;
        {
            const FailingNew memory{0};
            try {
                static_cast<void>(work.purge());
            } catch (const std::bad_alloc&) {
                threw = true;
            }
        }
        interrupted += threw && work.size() != 0 && work.size() != before ? 1 : 0;
        // The remaining items are whole.
        std::size_t seen = 0;
        REQUIRE_FALSE(work.for_each(
            [&](const WorkItem& item) { seen += as_text(item.body) == "x" ? 1U : 0U; }));
        REQUIRE(seen == work.size());
        REQUIRE_FALSE(work.purge());
        REQUIRE_FALSE(work.commit());
        REQUIRE(work.empty());
        SparingWork opened = open_sparing(medium, {});
        REQUIRE(opened.empty());
        REQUIRE(opened.dead() == 1);
    }
    CHECK(interrupted > 0);
}
