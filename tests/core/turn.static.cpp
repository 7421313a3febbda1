// SPDX-License-Identifier: MIT
// Goal: a turn refers to the machine's own bits: a copy of it draws from the same source.
#include <belay/core/random.hpp>

#include <type_traits>

using namespace belay;

namespace {

static_assert(std::is_same_v<decltype(Turn::bits), Random&>);
static_assert(sizeof(void*) != 8 || sizeof(Turn) == 16);

constexpr bool copies_share_their_bits() {
    Random bits{Seed{1}}, same{Seed{1}};
    const Turn turn{Instant{}, bits};
    const Turn copy = turn;
    const std::uint64_t first = turn.bits(), second = copy.bits();
    return first == same() && second == same();
}
static_assert(copies_share_their_bits());

}  // namespace
