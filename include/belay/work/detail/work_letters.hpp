// SPDX-License-Identifier: MIT
/// \file belay/work/detail/work_letters.hpp
/// WorkLetters: where the dead of a WorkQueue are put, and who hears of them.
#pragma once

#include <concepts>  // std::same_as
#include <utility>   // std::move

#include <belay/core/no_observer.hpp>
#include <belay/queue/dead_letters.hpp>
#include <belay/work/detail/work_items.hpp>
#include <belay/work/lease.hpp>

namespace belay::inline BELAY_ABI::detail {

template <class O>
concept HearsOfDead = requires(O& o, const DeadWork& dead) { o.on_dead(dead); };
template <class O>
concept HearsOfDropped = requires(O& o, const DeadWork& dead) { o.on_dropped(dead); };

/// A storage for dead letters, and the observer of a WorkQueue.
template <class DeadLetters, class Observer>
class WorkLetters {
    static_assert(TakesDead<DeadLetters>,
                  "WorkQueue: DeadLetters must be KeepDead or have 'try_push(Bytes&&)', which "
                  "answers bool or std::error_code");
    using Watcher = Unwrapped<Observer>;
    static_assert(std::same_as<Watcher, NoObserver> || HearsOfDead<Watcher> ||
                      HearsOfDropped<Watcher>,
                  "WorkQueue: Observer has neither on_dead nor on_dropped");

public:
    WorkLetters(DeadLetters storage, Observer observer)
        : storage_{std::move(storage)}, observer_{std::move(observer)} {}

    [[nodiscard]] DeadLetters& storage() noexcept { return storage_; }
    [[nodiscard]] auto& observer() noexcept { return unwrap(observer_); }

    /// An item is not lent any more. If it must be noted and cannot be, nothing changes.
    ///
    /// Errors: those of the log.   Throws: std::bad_alloc; what the storage and the observer throw.
    template <class Log>
    [[nodiscard]] std::error_code bury(WorkItems<Log>& items, const WorkPlace& item,
                                       DeathCause cause, bool must_note) {
        Bytes body;
        if (cause != DeathCause::unreadable && body_is_wanted) {
            WorkEntry entry;
            if (const std::error_code error = items.read(item.position, entry)) return error;
            body.assign(entry.tail.begin(), entry.tail.end());
        }
        WorkSlots& slots = items.slots();
        slots.reserve();
        items.make_room_for_gone();
        const std::uint32_t i = items.table().slot_of(item);
        const DeadWork dead{item.id, body, cause, slots[i].deliveries};
        if (cause == DeathCause::expired && items.options().expired == Expired::drop) {
            items.finish(items.table().place_of(i));
            if constexpr (HearsOfDropped<Watcher>) observer().on_dropped(dead);
            return items.failed();
        }
        if (cause != DeathCause::unreadable && send_letter(storage_, body, slots[i].sent)) {
            // Only now: a crash before this entry is durable leaves the item in both places.
            items.finish(items.table().place_of(i));
        } else {
            WorkSlot noted = slots[i];
            noted.cause = static_cast<std::uint8_t>(cause);
            noted.token = 0;
            noted.unnoted = noted.sent = false;
            if (!must_note) {
                items.note_soon(noted);
            } else if (const std::error_code error = items.note(noted)) {
                return error;
            }
            slots[i] = noted;
            slots.make_dead(i);
        }
        if constexpr (HearsOfDead<Watcher>) observer().on_dead(dead);
        return items.failed();
    }

private:
    static constexpr bool body_is_wanted =
        !std::same_as<DeadLetters, KeepDead> || HearsOfDead<Watcher> || HearsOfDropped<Watcher>;

    [[no_unique_address]] DeadLetters storage_;
    [[no_unique_address]] Observer observer_;
};

}  // namespace belay::inline BELAY_ABI::detail
