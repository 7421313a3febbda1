// SPDX-License-Identifier: MIT
/// \file tests/support/sync/bridge_archetypes.hpp
/// The minimal models of the two sides of a bridge.
#pragma once

#include <belay/sync/scene.hpp>

namespace belay_test {

/// No default constructor and no comparison: only copies and a hash.
struct MinimalContent {
    MinimalContent() = delete;
    explicit MinimalContent(int given) : number{given} {}
    int number;
};
inline std::uint64_t content_hash(const MinimalContent& content) {
    return static_cast<std::uint64_t>(content.number);
}

/// Has no sessions.
struct MinimalLocal {
    using content_type = MinimalContent;
    MinimalLocal() = default;
    MinimalLocal(const MinimalLocal&) = delete;
    MinimalLocal& operator=(const MinimalLocal&) = delete;

    std::vector<std::string> sessions() { return {}; }
    belay::Result<std::optional<belay::Scene<MinimalContent>>> read(std::string_view) {
        return std::optional<belay::Scene<MinimalContent>>{};
    }
    std::error_code apply(std::string_view, const belay::Scene<MinimalContent>&, belay::Origin) {
        return {};
    }
};

/// Drops every request.
struct MinimalRemote {
    using content_type = MinimalContent;
    MinimalRemote() = default;
    MinimalRemote(const MinimalRemote&) = delete;
    MinimalRemote& operator=(const MinimalRemote&) = delete;

    void fetch(std::string_view,
               const belay::Completion<
                   belay::Result<std::optional<belay::Scene<MinimalContent>>, belay::Failure>>&) {}
    void push(std::string_view, const belay::Scene<MinimalContent>&,
              const belay::Completion<belay::Failure>&) {}
};

}  // namespace belay_test
