// SPDX-License-Identifier: MIT
/// \file belay/posix/resolver_options.hpp
/// posix::ResolverOptions: the limits of a posix::Resolver.
#pragma once

#include <cstddef>  // std::size_t

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix {

/// Limits of a Resolver.
struct ResolverOptions {
    /// Names that are looked up at once, each by a thread of its own.   Pre: > 0.
    unsigned threads_max = 4;
    /// Questions that wait, those to names that are being looked up included.   Pre: > 0.
    std::size_t waiting_max = 1024;
};

}}}  // namespace belay::posix
