// SPDX-License-Identifier: MIT
/// \file belay/queue/detail/ring_atomics.hpp
/// RingAtomics: the atomics of the rings that threads share.
#pragma once

#include <atomic>  // std::atomic

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The atomics of a ring whose values are of type T.
///
/// belay's own tests specialise it for a value type of theirs, to try every order of the accesses.
template <class T>
struct RingAtomics {
    template <class N>
    using Of = std::atomic<N>;
};

template <class T, class N>
using RingAtomic = typename RingAtomics<T>::template Of<N>;

}}}  // namespace belay::detail
