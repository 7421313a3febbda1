// SPDX-License-Identifier: MIT
/// \file tests/support/sync/log_store.hpp
/// LogStore: a store whose transactions are the records of a journal on a simulated disk, and the
/// mistakes that a store may make. Operations as bytes.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <belay/journal/journal.hpp>
#include <belay/sim/disk.hpp>

#include "support/sync/sync_rig.hpp"

namespace belay_test {

/// The planted mistakes, which the verification must detect.
enum class SyncBug {
    none,
    forgets_ids,         ///< the store forgets the ids of a part of the operations
    forgets_tombstones,  ///< a removed element leaves no tombstone
    not_durable,         ///< the store reports a transaction as durable before it is
    half_transactions,   ///< the store keeps the writes of a transaction that failed
    progress_first,      ///< the ledger's progress becomes durable before the effects
    swallows_failures,   ///< the ledger acknowledges operations that the store has not accepted
    clamps_stamps,       ///< the receiver changes stamps that are ahead of its clock
    reorders,            ///< the receiver processes a batch from its end
    forgets_clock        ///< a client restarts its clock with each start
};

using SimJournal = belay::Journal<belay::sim::Disk>;

inline void put_text(belay::Bytes& into, std::string_view text) {
    into.push_back(static_cast<std::byte>(text.size()));
    for (const char c : text) into.push_back(static_cast<std::byte>(c));
}
inline void put_id(belay::Bytes& into, const belay::Id& id) {
    into.insert(into.end(), id.begin(), id.end());
}
inline void put_number(belay::Bytes& into, std::uint64_t number) {
    std::byte bytes[8];
    belay::store_le(bytes, number);
    into.insert(into.end(), bytes, bytes + 8);
}
inline void put_stamp(belay::Bytes& into, const belay::Stamp& at) {
    put_number(into, static_cast<std::uint64_t>(at.wall.time_since_epoch().count()));
    put_number(into, at.counter);
    put_id(into, at.origin);
}
/// Parses bytes; missing ones count as zeros.
struct ByteReader {
    belay::BytesView left;

    belay::BytesView bytes(std::size_t count) {
        const belay::BytesView taken = left.first(std::min(count, left.size()));
        left = left.subspan(taken.size());
        return taken;
    }
    std::uint8_t byte() {
        const belay::BytesView one = bytes(1);
        return one.empty() ? std::uint8_t{0} : std::to_integer<std::uint8_t>(one[0]);
    }
    std::string text() { return std::string{belay::as_text(bytes(byte()))}; }
    belay::Id id() {
        belay::Id made{};
        const belay::BytesView from = bytes(made.size());
        std::copy(from.begin(), from.end(), made.begin());
        return made;
    }
    std::uint64_t number() {
        const belay::BytesView from = bytes(8);
        return from.size() == 8 ? belay::load_le<std::uint64_t>(from.data()) : 0;
    }
    belay::Stamp stamp() {
        const auto wall = static_cast<std::int64_t>(number());
        const auto counter = static_cast<std::uint32_t>(number());
        return {belay::WallTime{belay::Duration{wall}}, counter, id()};
    }
};

inline belay::Bytes bytes_of(const Op& op) {
    belay::Bytes bytes{static_cast<std::byte>(op.kind())};
    put_id(bytes, op.id);
    put_stamp(bytes, op.stamp);
    put_text(bytes, op.element());
    const bool has_value =
        op.kind() == belay::OperationKind::add || op.kind() == belay::OperationKind::update;
    put_text(bytes, has_value ? std::string_view{op.value()} : what_happened(op));
    return bytes;
}
inline Op op_of(belay::BytesView bytes) {
    ByteReader from{bytes};
    const auto kind = static_cast<belay::OperationKind>(from.byte());
    Op op{from.id(), from.stamp(), {}};
    const std::string element = from.text(), value = from.text();
    if (kind == belay::OperationKind::add) {
        op.action = belay::AddElement<std::string>{element, value};
    } else if (kind == belay::OperationKind::update) {
        op.action = belay::UpdateElement<std::string>{element, value, {}};
    } else if (kind == belay::OperationKind::remove) {
        op.action = belay::RemoveElement{element};
    } else {
        op.action = belay::Interaction{element, value};
    }
    return op;
}

/// A MemoryStore that is rebuilt from the journal's records; one record is one transaction.
///
/// It is busy at times. After a failure of the disk it does nothing more.
class LogStore {
public:
    using operation_type = Op;
    struct Write {
        char kind;  // add, update, remove, remember
        std::string element;
        std::string value;
        belay::part::WriteMark mark;
    };

    LogStore(SimJournal& log, belay::Random bits, SyncBug bug)
        : log_{&log}, bits_{bits}, bug_{bug} {
        static_cast<void>(load());
    }

    belay::Result<belay::part::ElementState> find(const belay::part::ElementKey& key) {
        if (dead_) return belay::SyncErrc::store_failed;
        auto found = memory_.find(key);
        if (bug_ == SyncBug::forgets_tombstones && found &&
            found->presence == belay::part::Presence::removed) {
            return belay::part::ElementState{};
        }
        return found;
    }
    belay::Result<std::optional<std::string>> read(const belay::part::ElementKey& key) {
        return memory_.read(key);
    }
    std::error_code add(const belay::part::ElementKey& key, const std::string& value,
                        const belay::part::WriteMark& mark) {
        return write({'a', std::string{key.id}, value, mark});
    }
    std::error_code update(const belay::part::ElementKey& key, const std::string& value,
                           const belay::part::WriteMark& mark) {
        return write({'u', std::string{key.id}, value, mark});
    }
    std::error_code remove(const belay::part::ElementKey& key, const belay::part::WriteMark& mark) {
        return write({'r', std::string{key.id}, {}, mark});
    }
    std::error_code remember(const belay::part::WriteMark& mark) {
        return write({'m', {}, {}, mark});
    }
    belay::Result<std::optional<belay::part::AppliedMark>> applied(const belay::Id& id) {
        if (dead_) return belay::SyncErrc::store_failed;
        if (bug_ == SyncBug::forgets_ids && std::to_integer<int>(id[0]) % 4 == 0) {
            return std::optional<belay::part::AppliedMark>{};
        }
        return memory_.applied(id);
    }
    std::error_code expire(belay::WallTime) { return {}; }
    [[nodiscard]] belay::WallTime horizon() const noexcept { return belay::WallTime::min(); }

    template <class Body>
    std::error_code transaction(Body& body) {
        now_.clear();
        std::error_code error = body();
        if (error) {
            dead_ = dead_ || !load();
            return error;
        }
        if (now_.empty()) return {};
        belay::Bytes record{std::byte{'W'}};
        for (const Write& one : now_) {
            record.push_back(static_cast<std::byte>(one.kind));
            put_text(record, one.element);
            put_text(record, one.value);
            put_stamp(record, one.mark.stamp);
            put_id(record, one.mark.operation);
            put_number(record, one.mark.hash);
            record.push_back(static_cast<std::byte>(one.mark.decision));
        }
        error = log_->append(record).error();
        if (!error && bug_ != SyncBug::not_durable) error = log_->commit();
        // The content of the disk is unknown, and is not read before the next start.
        dead_ = dead_ || (error && bug_ != SyncBug::half_transactions);
        return error;
    }

    /// All records that were written, in order.
    [[nodiscard]] static std::vector<Write> all_of(SimJournal& log) {
        std::vector<Write> all;
        for (std::uint64_t n = log.base(); n <= log.last(); ++n) {
            const auto record = log.read(n);
            ByteReader from{record.value()};
            if (from.byte() != 'W') continue;
            while (!from.left.empty()) {
                Write one{static_cast<char>(from.byte()), from.text(), from.text(), {}};
                one.mark.stamp = from.stamp();
                one.mark.operation = from.id();
                one.mark.hash = from.number();
                one.mark.decision = static_cast<belay::part::Decision>(from.byte());
                all.push_back(std::move(one));
            }
        }
        return all;
    }
    [[nodiscard]] Memory& memory() { return memory_; }

private:
    std::error_code write(Write one) {
        if (dead_) return belay::SyncErrc::store_failed;
        if (belay::uniform_upto(bits_, 7) == 0) return belay::SyncErrc::store_busy;
        if (const std::error_code error = apply(one)) return error;
        now_.push_back(std::move(one));
        return {};
    }
    std::error_code apply(const Write& one) {
        const belay::part::ElementKey key{"s", one.element};
        if (one.kind == 'a') return memory_.add(key, one.value, one.mark);
        if (one.kind == 'u') return memory_.update(key, one.value, one.mark);
        if (one.kind == 'r') return memory_.remove(key, one.mark);
        return memory_.remember(one.mark);
    }
    bool load() {
        memory_ = Memory{};
        for (const Write& one : all_of(*log_)) {
            if (apply(one)) return false;
        }
        return true;
    }

    SimJournal* log_;
    belay::Random bits_;
    SyncBug bug_;
    Memory memory_{};
    std::vector<Write> now_{};
    bool dead_ = false;
};

}  // namespace belay_test
