// SPDX-License-Identifier: MIT
/// \file belay/work/detail/work_letters.hpp
/// What a WorkQueue wants of observers.
#pragma once

#include <belay/queue/dead_letters.hpp>
#include <belay/work/lease.hpp>

namespace belay::inline BELAY_ABI::detail {

template <class O>
concept HearsOfDead = requires(O& o, const DeadWork& dead) { o.on_dead(dead); };
template <class O>
concept HearsOfDropped = requires(O& o, const DeadWork& dead) { o.on_dropped(dead); };

}  // namespace belay::inline BELAY_ABI::detail
