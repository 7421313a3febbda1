// SPDX-License-Identifier: MIT
/// \file belay/work/detail/work_entry.hpp
/// WorkEntry: an entry of the log of a WorkQueue; see docs/reference/formats/work-queue.md.
#pragma once

#include <cstring>  // std::memcpy

#include <belay/core/crc32c.hpp>
#include <belay/core/instant.hpp>
#include <belay/work/detail/key_window.hpp>
#include <belay/work/lease.hpp>
#include <belay/work/work_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

enum class WorkKind : std::uint8_t {
    item = 1,   // an item; its id is the number of this entry
    moved = 2,  // an item copied from an earlier entry, with its current state
    done = 3,   // items that are finished
    note = 4,   // the state of an item that is not finished
    keys = 5,   // a part of the window of keys
    freed = 6   // items whose keys are free again
};

// Values of the byte for the cause of death, in addition to those of DeathCause.
inline constexpr std::uint32_t cause_none = 0;
inline constexpr std::uint32_t cause_dead_max = 3;
inline constexpr std::uint32_t cause_revived = 4;  // alive again, without expiry

inline constexpr std::uint64_t no_expiry = ~std::uint64_t{0};

/// Converts to milliseconds since 1970, rounded up, from 0 to 2^48 - 1.
[[nodiscard]] constexpr std::uint64_t stamp_of(WallTime t) noexcept {
    constexpr std::uint64_t most = (std::uint64_t{1} << 48) - 1;
    const std::int64_t ticks = t.time_since_epoch().count();
    if (ticks <= 0) return 0;
    const std::uint64_t ms = (static_cast<std::uint64_t>(ticks) + 999'999U) / 1'000'000U;
    return ms < most ? ms : most;
}
[[nodiscard]] constexpr WallTime time_of(std::uint64_t stamp) noexcept {
    constexpr auto most = static_cast<std::uint64_t>(Duration::max().count()) / 1'000'000U;
    if (stamp > most) return WallTime::max();
    return WallTime{Duration{static_cast<std::int64_t>(stamp * 1'000'000U)}};
}
/// Returns the time between two wall stamps, or 0ns if the clock went back.
[[nodiscard]] constexpr Duration elapsed_between(WallTime since, WallTime now) noexcept {
    return elapsed(Instant{since.time_since_epoch()}, Instant{now.time_since_epoch()});
}

/// One entry, read or to be written. The kind determines which fields are used.
struct WorkEntry {
    WorkKind kind = WorkKind::item;
    std::uint64_t written = 0;          // wall stamp
    std::uint64_t id = 0;               // moved, note
    std::uint64_t pushed = 0;           // wall stamp; item: as `written`; moved
    std::uint64_t expires = no_expiry;  // wall stamp; item, moved
    Duration delay = Duration::zero();  // from `written` on; item, moved, note
    std::uint32_t deliveries = 0;       // moved, note
    std::uint32_t cause = cause_none;   // moved, note
    bool has_key = false;               // item, moved
    detail::KeyFingerprint print{};     // item, moved; only the hash is stored
    std::uint64_t below = 0;            // done: no item is in an entry before this one
    std::uint32_t part = 0, parts = 0;  // keys
    BytesView tail{};                   // item, moved: the body; done, freed: ids; keys: prints
};

inline constexpr std::size_t work_header_bytes = 8;
inline constexpr std::size_t work_overhead_max = 64;
inline constexpr std::size_t print_bytes = 24;

/// Returns the mark of a log. Entries that refer to items by number carry the mark of the log that
/// assigned the numbers.
[[nodiscard]] inline std::uint32_t log_mark(const Id& journal) noexcept {
    return part::crc32c(journal);
}

namespace work_flags {
inline constexpr unsigned key = 1, delay = 2, expires = 4, state = 8;
}

/// Writes an entry of the log with this mark into `out`, replacing its content.
///
/// `tail` must not be a part of `out`.   Throws: std::bad_alloc.
inline void encode(const WorkEntry& e, std::uint32_t mark, Bytes& out) {
    using namespace work_flags;
    const bool is_item = e.kind == WorkKind::item;
    const bool is_moved = e.kind == WorkKind::moved;
    const bool is_note = e.kind == WorkKind::note;
    const bool has_delay = (is_item || is_moved || is_note) && e.delay.count() > 0;
    const bool has_expiry = (is_item || is_moved) && e.expires != no_expiry;
    const bool has_state = is_note || (is_moved && (e.deliveries != 0 || e.cause != cause_none));
    const unsigned flags = (e.has_key ? key : 0U) | (has_delay ? delay : 0U) |
                           (has_expiry ? expires : 0U) | (has_state ? state : 0U);
    std::byte head[work_overhead_max + 8];
    std::byte* p = head;
    const auto put32 = [&p](std::uint32_t value) {
        store_le<std::uint32_t>(p, value);
        p += 4;
    };
    const auto put64 = [&p](std::uint64_t value) {
        store_le<std::uint64_t>(p, value);
        p += 8;
    };
    put64(static_cast<std::uint64_t>(e.kind) | std::uint64_t{flags} << 8 | e.written << 16);
    const bool lists_ids = e.kind == WorkKind::done || e.kind == WorkKind::freed;
    if (is_moved || is_note || lists_ids) put32(mark);
    if (is_moved || is_note) put64(e.id);
    if (is_moved) put64(e.pushed);
    if (e.kind == WorkKind::done) put64(e.below);
    if (e.kind == WorkKind::keys) {
        put32(e.part);
        put32(e.parts);
    }
    if (e.has_key) {
        put64(e.print.low);
        put32(e.print.high);
    }
    if (has_delay) put64(static_cast<std::uint64_t>(e.delay.count()));
    if (has_expiry) put64(e.expires);
    if (has_state) {
        put32(e.deliveries);
        put32(e.cause);
    }
    const auto head_bytes = static_cast<std::size_t>(p - head);
    out.resize(head_bytes + e.tail.size());
    std::memcpy(out.data(), head, head_bytes);
    if (!e.tail.empty()) std::memcpy(out.data() + head_bytes, e.tail.data(), e.tail.size());
}

/// Decodes entry `number` of the log with this mark. The bytes may have any content. `tail` points
/// into them.
///
/// Errors: other_version, corrupt, foreign_file.
class WorkDecoder {
public:
    WorkDecoder(BytesView bytes, std::uint64_t number, std::uint32_t mark) noexcept
        : left_{bytes}, number_{number}, mark_{mark} {}

    [[nodiscard]] WorkError decode(WorkEntry& e) noexcept {
        using namespace work_flags;
        e = WorkEntry{};
        const std::uint64_t head = take64();
        const auto kind = static_cast<unsigned>(head & 0xFFU);
        const auto flags = static_cast<unsigned>((head >> 8) & 0xFFU);
        e.written = head >> 16;
        if (short_) return corrupt("the entry is shorter than its header");
        if (kind == 0) return corrupt("the record is not an entry of a work queue");
        if (kind > 6) return future("the kind of the entry is unknown");
        e.kind = static_cast<WorkKind>(kind);
        static constexpr unsigned known[] = {
            0, key | delay | expires, key | delay | expires | state, 0, delay | state, 0, 0};
        if ((flags & ~known[kind]) != 0) return future("a flag of the entry is unknown");
        const bool of_item = e.kind == WorkKind::moved || e.kind == WorkKind::note;
        const bool is_marked = of_item || e.kind == WorkKind::done || e.kind == WorkKind::freed;
        const bool is_foreign = is_marked && take32() != mark_;
        if (of_item) e.id = take64();
        e.pushed = e.kind == WorkKind::moved ? take64() : e.written;
        if (e.kind == WorkKind::done) e.below = take64();
        if (e.kind == WorkKind::keys) {
            e.part = take32();
            e.parts = take32();
        }
        e.has_key = (flags & key) != 0;
        if (e.has_key) {
            e.print.low = take64();
            e.print.high = take32();
        }
        const std::uint64_t delay_ns = (flags & delay) != 0 ? take64() : 0;
        if ((flags & expires) != 0) e.expires = take64();
        if ((flags & state) != 0) {
            e.deliveries = take32();
            e.cause = take32();
        }
        if (short_) return corrupt("the entry is shorter than its fields");
        if (is_foreign) {
            return {make_error_code(QueueErrc::foreign_file), number_,
                    "the queue was salvaged as a journal, which changes its numbers; use "
                    "tool::salvage_work_queue"};
        }
        e.delay = delay_ns > static_cast<std::uint64_t>(forever.count())
                      ? forever
                      : Duration{static_cast<std::int64_t>(delay_ns)};
        e.tail = left_;
        if (e.cause > cause_revived) return future("the cause of death is unknown");
        if (of_item && (e.id == 0 || e.id >= number_)) {
            return corrupt("the entry refers to an item that did not exist yet");
        }
        return check_tail(e);
    }

private:
    [[nodiscard]] WorkError check_tail(const WorkEntry& e) const noexcept {
        switch (e.kind) {
            case WorkKind::note:
                if (!e.tail.empty()) return corrupt("the entry is longer than its fields");
                break;
            case WorkKind::done:
                if (e.tail.size() % 8 != 0) return corrupt("a list of ids is cut off");
                if (e.below > number_) return corrupt("the entry refers to later entries");
                break;
            case WorkKind::freed:
                if (e.tail.size() % 8 != 0) return corrupt("a list of ids is cut off");
                break;
            case WorkKind::keys:
                if (e.tail.size() % print_bytes != 0) return corrupt("a list of keys is cut off");
                if (e.part >= e.parts)
                    return corrupt("the number of the part is not below the number of parts");
                break;
            default:
                break;
        }
        return {};
    }

    std::uint64_t take64() noexcept {
        if (left_.size() < 8) return fall_short();
        const std::uint64_t value = load_le<std::uint64_t>(left_.data());
        left_ = left_.subspan(8);
        return value;
    }
    std::uint32_t take32() noexcept {
        if (left_.size() < 4) return static_cast<std::uint32_t>(fall_short());
        const std::uint32_t value = load_le<std::uint32_t>(left_.data());
        left_ = left_.subspan(4);
        return value;
    }
    std::uint64_t fall_short() noexcept {
        short_ = true;
        left_ = {};
        return 0;
    }
    [[nodiscard]] WorkError corrupt(const char* what) const noexcept {
        return {make_error_code(QueueErrc::corrupt), number_, what};
    }
    [[nodiscard]] WorkError future(const char* what) const noexcept {
        return {make_error_code(QueueErrc::other_version), number_, what};
    }

    BytesView left_;
    std::uint64_t number_;
    std::uint32_t mark_;
    bool short_ = false;
};

/// Returns the i-th fingerprint in the tail of a `keys` entry.
[[nodiscard]] inline detail::KeyFingerprint load_print(BytesView tail, std::size_t i) noexcept {
    const std::byte* const p = tail.data() + i * print_bytes;
    return {load_le<std::uint64_t>(p), load_le<std::uint32_t>(p + 8),
            load_le<std::uint32_t>(p + 12), load_le<std::uint64_t>(p + 16)};
}
inline void store_print(const detail::KeyFingerprint& print, std::byte* p) noexcept {
    store_le<std::uint64_t>(p, print.low);
    store_le<std::uint32_t>(p + 8, print.high);
    store_le<std::uint32_t>(p + 12, print.content);
    store_le<std::uint64_t>(p + 16, print.item);
}

}}}  // namespace belay::detail
