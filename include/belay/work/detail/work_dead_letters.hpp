// SPDX-License-Identifier: MIT
/// \file belay/work/detail/work_dead_letters.hpp
/// WorkDeadLetters: where a WorkQueue stores dead items, and which observer it notifies.
#pragma once

#include <concepts>  // std::same_as
#include <utility>   // std::move

#include <belay/core/observer.hpp>
#include <belay/queue/dead_letters.hpp>
#include <belay/work/detail/work_items.hpp>
#include <belay/work/lease.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

BELAY_DETAIL_HOOK(OnDead, on_dead);

/// The hooks of a WorkQueue W.
template <class W>
struct WorkHooks {
    using Dead = Hook<OnDead, W, const DeadWork&>;
    using Dropped = Hook<OnDropped, W, const DeadWork&>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(Dead::template right<O>,
                      "WorkQueue: the observer's on_dead must be 'on_dead(const "
                      "belay::DeadWork&)', or have 'const auto& work' in front of that");
        static_assert(Dropped::template right<O>,
                      "WorkQueue: the observer's on_dropped must be 'on_dropped(const "
                      "belay::DeadWork&)', or have 'const auto& work' in front of that");
        static_assert(has_any_hook_of<O, Dead, Dropped>,
                      "WorkQueue: the observer has no hook: it needs on_dead or on_dropped. Derive "
                      "an observer without hooks from belay::NoObserver");
        return true;
    }
};

/// A storage for dead letters, and the observer of a WorkQueue.
template <class DeadLetters, class Observer>
class WorkDeadLetters {
    static_assert(DeadLetterStorage<DeadLetters>,
                  "WorkQueue: DeadLetters must be KeepDead or have 'try_push(Bytes&&)', which "
                  "returns bool or std::error_code");

public:
    WorkDeadLetters(DeadLetters storage, Observer observer)
        : storage_{std::move(storage)}, observer_{std::move(observer)} {}

    /// The same, bound to a queue that the observer may query.
    template <class W>
    struct Of {
        WorkDeadLetters& dead_letters;
        const W& queue;

        template <class Log>
        [[nodiscard]] std::error_code make_dead(WorkItems<Log>& items, const WorkPlace& item,
                                                DeathCause cause, bool must_note) {
            return dead_letters.make_dead(queue, items, item, cause, must_note);
        }
    };
    template <class W>
    [[nodiscard]] Of<W> of(const W& queue) noexcept {
        return {*this, queue};
    }

    [[nodiscard]] DeadLetters& storage() noexcept { return storage_; }
    [[nodiscard]] auto& observer() noexcept { return unwrap(observer_); }

private:
    /// Ends the lease of an item that is dead. If its death must be noted and noting fails, nothing
    /// changes.
    ///
    /// Errors: those of the log.   Throws: std::bad_alloc; what the storage and the observer throw.
    template <class W, class Log>
    [[nodiscard]] std::error_code make_dead(const W& queue, WorkItems<Log>& items,
                                            const WorkPlace& item, DeathCause cause,
                                            bool must_note) {
        using Hooks = WorkHooks<const W>;
        constexpr bool body_is_wanted = !std::same_as<DeadLetters, KeepDead> ||
                                        has_hook_of<typename Hooks::Dead, Observer> ||
                                        has_hook_of<typename Hooks::Dropped, Observer>;
        Bytes body;
        if (cause != DeathCause::unreadable && body_is_wanted) {
            WorkEntry entry;
            if (const std::error_code error = items.read(item.position, entry)) return error;
            body.assign(entry.tail.begin(), entry.tail.end());
        }
        WorkSlots& slots = items.slots();
        slots.reserve();
        items.reserve_for_gone();
        const std::uint32_t i = items.table().slot_of(item);
        const DeadWork dead{item.id, body, cause, slots[i].deliveries};
        if (cause == DeathCause::expired && items.options().expired == WorkOptions::Expired::drop) {
            items.free_key(items.table().place_of(i));
            items.finish(items.table().place_of(i));
            notify<typename Hooks::Dropped>(observer_, queue, dead);
            return items.failed();
        }
        if (cause != DeathCause::unreadable && send_dead_letter(storage_, body, slots[i].sent)) {
            // The item is finished only now, so a crash before this entry is durable leaves it in
            // both places.
            items.free_key(items.table().place_of(i));
            items.finish(items.table().place_of(i));
        } else {
            WorkSlot noted = slots[i];
            noted.cause = static_cast<std::uint8_t>(cause);
            noted.token = 0;
            noted.unnoted = noted.ahead = noted.sent = false;
            if (!must_note) {
                items.note_soon(noted);
            } else if (const std::error_code error = items.note(noted)) {
                return error;
            }
            slots[i] = noted;
            slots.make_dead(i);
            if (cause == DeathCause::expired) items.free_key(items.table().place_of(i));
        }
        notify<typename Hooks::Dead>(observer_, queue, dead);
        return items.failed();
    }

    [[no_unique_address]] DeadLetters storage_;
    [[no_unique_address]] Observer observer_;
};

}}}  // namespace belay::detail
