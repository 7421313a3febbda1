// SPDX-License-Identifier: MIT
/// \file belay/work/detail/work_letters.hpp
/// The hooks of a WorkQueue's observer.
#pragma once

#include <belay/core/observer.hpp>
#include <belay/work/lease.hpp>

namespace belay::inline BELAY_ABI::detail {

/// What a WorkQueue W tells.
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
        static_assert(hears_any_of<O, Dead, Dropped>,
                      "WorkQueue: the observer hears nothing: it needs on_dead or on_dropped; one "
                      "that may hear nothing derives from belay::NoObserver");
        return true;
    }
};

}  // namespace belay::inline BELAY_ABI::detail
