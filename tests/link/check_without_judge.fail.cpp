// SPDX-License-Identifier: MIT
// expect-error: Validated: the check needs .Verdict begin
#include <belay/link/validated.hpp>

struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<int>) { return {}; }
};

struct Check {
    belay::Verdict begin(const auto&) { return belay::Verdict::pending(); }
#if defined(BELAY_CONTROL)
    belay::Verdict judge(int, const auto&) { return belay::Verdict::passed(); }
#endif
};

auto use(belay::Validated<Transport, Check>& v, const belay::Link<int>& link) {
    return sizeof(decltype(v.open(link)));
}
