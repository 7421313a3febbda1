// SPDX-License-Identifier: MIT
// Goal: the types that may authorize, and those that may not.
#include <belay/session/receiver_options.hpp>

namespace {

struct NotConst {
    std::error_code operator()(const belay::Id&, belay::BytesView) { return {}; }
};
struct AnswersBool {
    bool operator()(const belay::Id&, belay::BytesView) { return true; }
};
struct WantsText {
    std::error_code operator()(const belay::Id&, const char*) { return {}; }
};

static_assert(belay::detail::Authorizes<belay::AllowAll>);
static_assert(belay::detail::Authorizes<NotConst>);
static_assert(!belay::detail::Authorizes<AnswersBool>);
static_assert(!belay::detail::Authorizes<WantsText>);
static_assert(!belay::detail::Authorizes<int>);

// The defaults of the protocol's section 7.
static_assert(belay::ReceiverOptions::Limits{}.number_window == 1024);
static_assert(belay::ReceiverOptions::Limits{}.byte_window == 4U << 20U);
static_assert(belay::ReceiverOptions::Limits{}.payload_bytes_max == 1U << 20U);
static_assert(belay::ReceiverOptions{}.commit_within == belay::Duration::zero());
static_assert(belay::ReceiverOptions{}.greeting_max == std::chrono::seconds{5});

}  // namespace
