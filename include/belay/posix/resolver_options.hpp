// SPDX-License-Identifier: MIT
/// \file belay/posix/resolver_options.hpp
/// posix::ResolverOptions: the limits of a posix::Resolver.
#pragma once

#include <cstddef>  // std::size_t

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix {

/// The limits of a Resolver.
struct ResolverOptions {
    /// The most names that are looked up at once, each by a thread of its own. A look-up that hangs
    /// keeps its thread until the system gives up.   Pre: > 0.
    unsigned threads_max = 32;
    /// The most requests that wait, those whose names are being looked up included.   Pre: > 0.
    std::size_t waiting_max = 1024;
};

}}}  // namespace belay::posix
