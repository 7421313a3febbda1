// SPDX-License-Identifier: MIT
/// \file belay/sync/local_like.hpp
/// LocalLike: the local side of a bridge.
#pragma once

#include <concepts>      // std::same_as, std::copyable
#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <vector>        // std::vector

#include <belay/core/result.hpp>
#include <belay/sync/operation_like.hpp>
#include <belay/sync/scene.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

// The requirements that both sides of a bridge have in common.
template <class S>
concept HasContentType = requires { typename S::content_type; };
template <class S>
concept ContentIsRight = HasContentType<S> && std::copyable<typename S::content_type> &&
                         ContentHashable<typename S::content_type>;
template <class S>
using SceneOf = Scene<typename S::content_type>;

template <class L>
concept HasSessions = requires(L& local) {
    { local.sessions() } -> std::same_as<std::vector<std::string>>;
};
template <class L>
concept HasReadScene = HasContentType<L> && requires(L& local, std::string_view session) {
    { local.read(session) } -> std::same_as<Result<std::optional<SceneOf<L>>>>;
};
template <class L>
concept HasApplyScene =
    HasContentType<L> && requires(L& local, std::string_view session, SceneOf<L>&& scene) {
        {
            local.apply(session, static_cast<SceneOf<L>&&>(scene), Origin::remote)
        } -> std::same_as<std::error_code>;
    };

}  // namespace detail

/// The local side of a bridge: the scenes that a program shows and edits.
///
/// - `content_type`: the content of a scene; copyable. The bridge hashes it to recognise its own
///   content. belay hashes integers, texts and bytes. For other types, declare `content_hash(const
///   content_type&)` in your namespace, which returns a std::uint64_t. Equal contents have equal
///   hashes.
/// - `sessions() -> std::vector<std::string>`: the sessions to be kept equal; their names are
///   opaque.
/// - `read(session) -> Result<std::optional<Scene<content_type>>>`: the scene as it is now; nullopt
///   if there is none, or none any more.
/// - `apply(session, Scene<content_type>, Origin) -> std::error_code`: replaces the scene, stamp
///   included. An error means that the scene is not replaced. The origin is always Origin::remote.
///   It lets code that watches scenes skip these changes: they need not be reported to the bridge.
///
/// The bridge calls each of these in its turn, on its thread. It reports their errors and
/// exceptions, and calls again. `session` is valid during the call.
///
/// Semantics the compiler cannot check:
/// - The stamp of an edit is later than the stamp of the scene that it changes. A HybridClock that
///   `saw` the applied scenes makes such stamps.
/// - `read` returns an edit before the bridge is notified of it.
/// - No edit comes between a `read` and an `apply` of one turn.
template <class L>
concept LocalLike = detail::ContentIsRight<L> && detail::HasSessions<L> &&
                    detail::HasReadScene<L> && detail::HasApplyScene<L>;

namespace explain {

/// Names every requirement of LocalLike that L lacks.
template <class L>
consteval bool local_like() {
    static_assert(detail::HasContentType<L>,
                  "LocalLike: L needs a content_type; see docs/bridge.md");
    if constexpr (detail::HasContentType<L>) {
        static_assert(detail::ContentIsRight<L>,
                      "LocalLike: the content_type must be copyable, and needs 'std::uint64_t "
                      "content_hash(const content_type&)' in its namespace");
        static_assert(detail::HasReadScene<L>,
                      "LocalLike: L needs 'belay::Result<std::optional<belay::Scene<content>>> "
                      "read(std::string_view session)'");
        static_assert(detail::HasApplyScene<L>,
                      "LocalLike: L needs 'std::error_code apply(std::string_view session, "
                      "belay::Scene<content>, belay::Origin)'");
    }
    static_assert(detail::HasSessions<L>,
                  "LocalLike: L needs 'std::vector<std::string> sessions()'");
    return LocalLike<L>;
}

}  // namespace explain

}}  // namespace belay
