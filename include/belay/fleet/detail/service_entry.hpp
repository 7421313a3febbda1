// SPDX-License-Identifier: MIT
/// \file belay/fleet/detail/service_entry.hpp
/// ServiceEntry, DialQueue, ServiceList: what a fleet knows of a service, and the orders it keeps
/// them in.
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

/// What a fleet does with a service, whatever its transport, policy and observer.
struct ServiceOps {
    const LinkStatus& (*status)(const ServiceEntry&) noexcept;
    std::size_t (*queued)(const ServiceEntry&);
    /// Whether one of its turns or hooks is on the stack.
    bool (*in_turn)(const ServiceEntry&) noexcept;
    void (*start)(ServiceEntry&);
    void (*stop)(ServiceEntry&);
    Reconnect (*reconnect)(ServiceEntry&, bool force);
    void (*unhealthy)(ServiceEntry&, const Failure&);
    /// Its connection may open now.
    void (*dial)(ServiceEntry&);
    /// Its connection ends so.
    void (*close)(ServiceEntry&, const Failure&);
    /// Destroys it: at once, or when its turn is over.
    void (*end)(ServiceEntry&) noexcept;
};

/// Where the connection of a service stands, as the fleet counts it.
enum class ServicePhase : std::uint8_t {
    idle,       ///< there is none
    in_line,    ///< waits for its turn to dial
    dialling,   ///< opening and validating: one of those that are dialled at once
    connected,  ///< validated
    held,       ///< has failed, and waits for the verdict on the network
    judged      ///< has ended; the supervisor hears of it next
};

/// One service, as its fleet's hub knows it.
///
/// Thread safety: the fleet's home thread.
struct ServiceEntry {
    static constexpr std::uint32_t nowhere = ~std::uint32_t{0};

    // Where the hub is known: dial_scheduler.hpp.
    ServiceEntry(const ServiceOps& o, Ref<DialScheduler> h, std::string n) noexcept;
    ~ServiceEntry();
    ServiceEntry(const ServiceEntry&) = delete;
    ServiceEntry& operator=(const ServiceEntry&) = delete;

    const ServiceOps* ops;
    Ref<DialScheduler> scheduler;
    const std::string name;
    ServiceEntry* previous = nullptr;
    ServiceEntry* next = nullptr;
    /// In line: its rank, a time. Dialling: since when. Held: when it failed.
    Instant at = always;
    Instant asked_at = always;  ///< when its attempt began, which waits in line for the dial
    Instant told_at = always;   ///< judged: when its supervisor heard of it
    Duration limit{};           ///< of the attempt, from the dial on
    Failure failure{};          ///< held: why
    std::uint64_t ticket = 0;   ///< in line: the order of asking
    std::uint32_t place = nowhere;
    ServicePhase phase = ServicePhase::idle;
    std::uint8_t priority = 0;
    LinkState counted = LinkState::stopped;  ///< the state it is counted in
    bool removed = false;                    ///< its observer is not told any more
    bool keeps_rank = false;  ///< sent away from the line: it is in front when it asks anew
    bool passes = false;      ///< by command, the next dial does not wait for the network
    bool was_held = false;    ///< its connection ended at `at`, not when it was told
};

/// Seats in the order in which they came; a seat is in at most one such list.
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

/// Seats that wait to dial, by rank, then by the order of asking: a binary heap.
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
        return a.at != b.at ? a.at < b.at : a.ticket < b.ticket;
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
    std::uint64_t tickets_ = 0;
};

}}}  // namespace belay::detail
