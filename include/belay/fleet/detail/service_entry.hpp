// SPDX-License-Identifier: MIT
/// \file belay/fleet/detail/service_entry.hpp
/// ServiceEntry, DialQueue, ServiceList: a fleet's entry for a service, and the ordered lists of
/// entries.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint8_t, std::uint32_t
#include <string>   // std::string
#include <vector>   // std::vector

#include <belay/core/detail/intrusive.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/core/order.hpp>
#include <belay/link/status.hpp>
#include <belay/link/supervisor_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

struct DialScheduler;
struct ServiceEntry;

/// The operations of a fleet on a service, independent of its transport, policy and observer.
struct ServiceOps {
    const LinkStatus& (*status)(const ServiceEntry&) noexcept;
    std::size_t (*queued)(const ServiceEntry&);
    /// Returns whether one of its turns or hooks is on the call stack.
    bool (*in_turn)(const ServiceEntry&) noexcept;
    void (*start)(ServiceEntry&);
    void (*stop)(ServiceEntry&);
    Reconnect (*reconnect)(ServiceEntry&, bool force);
    /// Returns whether reconnect() would attempt now.
    bool (*may_attempt)(const ServiceEntry&, Instant now) noexcept;
    /// Attempts, if it only waits for the network.
    void (*resume)(ServiceEntry&);
    void (*unhealthy)(ServiceEntry&, const Failure&);
    /// Permits its connection to open.
    void (*dial)(ServiceEntry&);
    /// Ends its connection with a failure, which counts against the service unless `withdrawn`.
    void (*close)(ServiceEntry&, const Failure&, bool withdrawn);
    /// Destroys it: at once, or after its turn.
    void (*end)(ServiceEntry&) noexcept;
};

/// The phase of a service's connection, as the fleet counts it.
enum class ServicePhase : std::uint8_t {
    idle,       ///< there is no connection
    queued,     ///< waits for its turn to dial
    dialling,   ///< opening and validating; counts towards the limit of its group
    connected,  ///< validated
    held,       ///< has failed, and waits for the decision about the network
    ended       ///< has ended; the supervisor is notified next
};

/// The entry of the DialScheduler for one service.
///
/// Thread safety: the fleet's home thread.
struct ServiceEntry {
    static constexpr std::uint32_t nowhere = ~std::uint32_t{0};

    // Defined in dial_scheduler.hpp, where DialScheduler is complete.
    ServiceEntry(const ServiceOps& o, Ref<DialScheduler> h, std::string n) noexcept;
    ~ServiceEntry();
    ServiceEntry(const ServiceEntry&) = delete;
    ServiceEntry& operator=(const ServiceEntry&) = delete;

    const ServiceOps* ops;
    Ref<DialScheduler> scheduler;
    const std::string name;
    ServiceEntry* previous = nullptr;
    ServiceEntry* next = nullptr;
    /// Queued: its rank, as a time. Dialling: the time of the dial. Held: the time of the failure.
    Instant at = always;
    Instant asked_at = always;  ///< when the attempt began that is queued to dial
    /// Queued and dialling: the limit of the attempt, from the dial on. After a hold: how late its
    /// supervisor is notified of the end; `forever` until then.
    Duration span{};
    Failure failure{};         ///< held: the failure
    std::uint32_t ticket = 0;  ///< queued: the order of asking
    std::uint32_t place = nowhere;
    ServicePhase phase = ServicePhase::idle;
    std::uint8_t priority = 0;
    std::uint16_t endpoints = 1;             ///< between which its transport chooses
    std::uint16_t scouted = 0;               ///< of them in a row, as a scout; 0 after the last one
    LinkState counted = LinkState::stopped;  ///< the state it is counted in
    bool keeps_rank = false;         ///< removed from the queue: it asks again at its old rank
    bool removed : 1 = false;        ///< its observer is not notified any more
    bool passes : 1 = false;         ///< the next dial does not wait for the network
    bool is_scout : 1 = false;       ///< that dial also waits for no other dial
    bool was_held : 1 = false;       ///< its connection ended at `at`, not when that was reported
    bool is_slow : 1 = false;        ///< it waits, dials, or last dialled, in the slow group
    bool awaits_place : 1 = false;   ///< its dial ended because the slow group had no place
    bool was_connected : 1 = false;  ///< and no dial has failed since
    bool was_dialled : 1 = false;    ///< at least once
    bool by_calls : 1 = false;       ///< connected proves nothing: only an answer to a call does
};

/// Entries in order of arrival. An entry is in at most one such list.
///
/// Thread safety: one thread.   Complexity: O(1).
class ServiceList {
public:
    [[nodiscard]] ServiceEntry* front() const noexcept { return first_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    void push(ServiceEntry& entry) noexcept {
        entry.previous = last_;
        entry.next = nullptr;
        (last_ != nullptr ? last_->next : first_) = &entry;
        last_ = &entry;
        ++size_;
    }
    void remove(ServiceEntry& entry) noexcept {
        (entry.previous != nullptr ? entry.previous->next : first_) = entry.next;
        (entry.next != nullptr ? entry.next->previous : last_) = entry.previous;
        entry.previous = entry.next = nullptr;
        --size_;
    }

private:
    ServiceEntry* first_ = nullptr;
    ServiceEntry* last_ = nullptr;
    std::size_t size_ = 0;
};

/// Entries that wait to dial, by rank, then by the order of asking. It is a binary heap.
///
/// Thread safety: one thread.   Complexity: O(log n).   Allocates: while it grows.
class DialQueue {
public:
    [[nodiscard]] bool empty() const noexcept { return heap_.empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return heap_.size(); }
    [[nodiscard]] ServiceEntry& front() const noexcept { return *heap_.front(); }

    /// Throws: std::bad_alloc.
    void push(ServiceEntry& entry) {
        heap_.push_back(&entry);
        entry.ticket = ++tickets_;
        rise(heap_.size() - 1, entry);
    }
    void remove(ServiceEntry& entry) noexcept {
        const std::size_t hole = entry.place;
        ServiceEntry& last = *heap_.back();
        heap_.pop_back();
        entry.place = ServiceEntry::nowhere;
        if (&last == &entry) return;
        rise(hole, last);
        sink(last.place, last);
    }

private:
    static bool before(const ServiceEntry& a, const ServiceEntry& b) noexcept {
        if (a.at != b.at) return a.at < b.at;
        // By their distance, because the count of tickets may begin again.
        return static_cast<std::int32_t>(a.ticket - b.ticket) < 0;
    }
    void put(std::size_t place, ServiceEntry& entry) noexcept {
        heap_[place] = &entry;
        entry.place = static_cast<std::uint32_t>(place);
    }
    void rise(std::size_t place, ServiceEntry& entry) noexcept {
        for (; place != 0 && before(entry, *heap_[(place - 1) / 2]); place = (place - 1) / 2) {
            put(place, *heap_[(place - 1) / 2]);
        }
        put(place, entry);
    }
    void sink(std::size_t place, ServiceEntry& entry) noexcept {
        for (std::size_t child = 2 * place + 1; child < heap_.size(); child = 2 * place + 1) {
            if (child + 1 < heap_.size() && before(*heap_[child + 1], *heap_[child])) ++child;
            if (!before(*heap_[child], entry)) break;
            put(place, *heap_[child]);
            place = child;
        }
        put(place, entry);
    }

    std::vector<ServiceEntry*> heap_;
    std::uint32_t tickets_ = 0;
};

}}}  // namespace belay::detail
