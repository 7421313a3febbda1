// SPDX-License-Identifier: MIT
// Goal: docs/reference/formats/work-queue.md is sufficient to read a work queue's entries, and the library
// keeps each of its rules. Method: a reader written from the page alone, compared with the
// library over queues, also with damaged entries; and handwritten entries.
#include <belay/work/work_queue.hpp>

#include <algorithm>
#include <string>

#include "support/seeds.hpp"
#include "support/work/page_work_reader.hpp"
#include "support/work/start_times.hpp"
#include "support/work/work_queue_steps.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using PagedWork = WorkQueue<MemoryLog>;

constexpr std::size_t paged_keys = 20;
constexpr WorkOptions paged_options{
    .deliveries_max = 2, .keys = paged_keys, .record_bytes_max = 256, .slack_bytes = 600};

PageBytes page_copy(BytesView bytes) {
    PageBytes copy;
    for (const std::byte byte : bytes) copy.push_back(static_cast<std::uint8_t>(byte));
    return copy;
}
PageWork read_by_page(const MemoryMedium& medium) {
    std::map<std::uint64_t, PageBytes> entries;
    for (const auto& [number, bytes] : medium.entries) {
        if (!medium.damaged.contains(number)) entries[number] = page_copy(bytes);
    }
    return {entries, medium.base, medium.last};
}
PageBytes paged_id() {
    MemoryMedium any;
    return page_copy(MemoryLog{any}.journal_id());
}

/// Keys of all lengths around those at which the computation of the hash changes.
std::string paged_key(std::uint64_t n) {
    static constexpr std::size_t lengths[] = {1, 4, 7, 8, 9, 16, 63, 64, 65, 66, 200, 1000};
    std::string key = std::to_string(n) + "/";
    key.resize(std::max(lengths[n % std::size(lengths)], key.size()), 'k');
    return key;
}

/// Random calls, so that every kind of entry is in the log. Returns the number of keys.
std::uint64_t work_by_chance(MemoryMedium& medium, Random& bits) {
    auto work = PagedWork::open(MemoryLog{medium}, paged_options, when);
    REQUIRE(work);
    std::vector<Lease> leases;
    std::uint64_t used = 0;
    for (int calls = 0; calls < 300; ++calls) {
        const std::uint64_t draw = bits() % 10;
        if (draw < 4) {
            PushOptions with;
            const std::string key = bits() % 3 == 0 ? paged_key(used++) : "";
            with.key = key;
            if (bits() % 4 == 0) with.delay = 1h;
            if (bits() % 4 == 0) with.expires_after = 9h;
            REQUIRE(work->push(Bytes(bits() % 60, static_cast<std::byte>(draw)), when, with));
        } else if (draw < 6) {
            if (const auto lease = work->lease(when)) leases.push_back(*lease);
        } else if (draw < 8 && !leases.empty()) {
            std::swap(leases[bits() % leases.size()], leases.back());
            if (bits() % 4 == 0) {
                REQUIRE_FALSE(work->nack(leases.back(), when, bits() % 2 == 0 ? 1h : 0h));
            } else {
                REQUIRE_FALSE(work->ack(leases.back()));
            }
            leases.pop_back();
        } else if (draw == 8) {
            REQUIRE_FALSE(work->commit());
        } else if (bits() % 10 == 0) {
            REQUIRE_FALSE(work->purge_dead());
        }
    }
    REQUIRE_FALSE(work->commit());
    return used;
}

/// Whether the library and the page have the same items.
void compare_items(PagedWork& work, const PageWork& page) {
    std::size_t shown = 0;
    const auto compare = [&](const WorkItem& item) {
        ++shown;
        INFO("item " << item.id);
        const auto of_page = page.items.find(item.id);
        REQUIRE(of_page != page.items.end());
        const PageItem& known = of_page->second;
        const bool is_dead = known.state >= 1 && known.state <= 3;
        REQUIRE((item.state == WorkItem::State::dead) == is_dead);
        if (is_dead) REQUIRE(static_cast<std::uint64_t>(item.cause) == known.state);
        if (known.state == 3) return;
        REQUIRE(page_copy(item.body) == known.body);
        REQUIRE(item.deliveries == known.delivered);
        // The wall clock stands still.
        REQUIRE((item.state == WorkItem::State::delayed) == (!is_dead && known.delay_ns != 0));
    };
    REQUIRE_FALSE(work.for_each(compare));
    REQUIRE_FALSE(work.for_each_dead(compare));
    REQUIRE(shown == page.items.size());
}

}  // namespace

TEST_CASE("A reader written from the format page finds a queue's items, also around damage",
          "[work][work_queue_page][property]") {
    std::uint64_t kinds = 0;
    belay_test::for_each_seed(
        [&](Seed seed) {
            Random bits{seed};
            MemoryMedium medium;
            work_by_chance(medium, bits);
            for (const auto& [number, entry] : medium.entries) {
                kinds |= std::uint64_t{1} << static_cast<unsigned>(entry[0]);
            }
            const bool is_damaged = bits() % 2 == 0;
            for (std::uint64_t n = medium.base; is_damaged && n <= medium.last; ++n) {
                if (bits() % 8 == 0) medium.damaged.insert(n);
            }
            const PageWork page = read_by_page(medium);
            auto work = PagedWork::open(MemoryLog{medium}, paged_options, when);
            INFO((work ? "" : work.error().message()));
            REQUIRE(work);
            compare_items(*work, page);
        },
        300);
    CHECK(kinds == 0b1111110);
}

TEST_CASE("A reader written from the format page finds a queue's keys, of all lengths",
          "[work][work_queue_page][property]") {
    belay_test::for_each_seed(
        [](Seed seed) {
            Random bits{seed};
            MemoryMedium medium;
            const std::uint64_t used = work_by_chance(medium, bits);
            const PageWork page = read_by_page(medium);
            const PageBytes id = paged_id();
            // The last places count.
            const auto places = std::min<std::size_t>(page.keys.size(), paged_keys);
            const std::vector<PageBytes> window(
                page.keys.end() - static_cast<std::ptrdiff_t>(places), page.keys.end());
            for (std::uint64_t n = 0; n < used; ++n) {
                // Each needs its own opening, because a push removes others from the window.
                MemoryMedium copy = medium;
                auto work = PagedWork::open(MemoryLog{copy}, paged_options, when);
                REQUIRE(work);
                const std::string key = paged_key(n);
                const auto pushed = work->push(Bytes(200), when, {.key = key});
                const bool is_known = !pushed && (pushed.error() == QueueErrc::key_conflict);
                const bool by_page =
                    std::find(window.begin(), window.end(), page_key(id, key)) != window.end();
                INFO("key " << n << " of " << used);
                REQUIRE(is_known == by_page);
            }
        },
        20);
}

TEST_CASE("Format page: a moved entry is an item, also without its original",
          "[work][work_queue_page][unit]") {
    MemoryMedium medium;
    medium.base = 7;
    medium.last = 8;
    const std::uint64_t id = GENERATE(3U, 6U, 7U);
    detail::WorkEntry moved;
    moved.kind = detail::WorkKind::moved;
    moved.id = id;
    moved.tail = as_bytes("moved");
    detail::encode(moved, detail::log_mark(Id{std::byte{1}}), medium.entries[8]);
    detail::WorkEntry done;
    done.kind = detail::WorkKind::done;
    done.below = 7;
    const std::uint64_t gone = id == 7 ? 2 : id;
    std::array<std::byte, 8> ids;
    store_le<std::uint64_t>(ids.data(), gone);
    done.tail = ids;
    detail::encode(done, detail::log_mark(Id{std::byte{1}}), medium.entries[7]);
    const PageWork page = read_by_page(medium);
    REQUIRE(page.items.size() == 1);
    CHECK(page.items.at(id).position == 8);
    auto work = PagedWork::open(MemoryLog{medium}, paged_options, when);
    REQUIRE(work);
    CHECK(work->size() == 1);
    compare_items(*work, page);
}
