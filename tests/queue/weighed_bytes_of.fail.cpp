// SPDX-License-Identifier: MIT
// expect-error: Weighed: bytes_of needs 'operator...const value_type&. const noexcept ->
// std::size_t'
#include <belay/queue/deque.hpp>
#include <belay/queue/weighed.hpp>

struct BytesOf {
#ifdef BELAY_CONTROL
    std::size_t operator()(const int&) const noexcept;
#else
    std::size_t operator()(const int&) const;
#endif
};

belay::Weighed weighed{belay::Deque<int>{}, BytesOf{}};
