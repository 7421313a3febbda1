// SPDX-License-Identifier: MIT
/// \file belay/sync/local_like.hpp
/// LocalLike: the side of a bridge that is here.
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

// What both sides of a bridge carry.
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

/// The side of a bridge that is here: the scenes that a program shows and edits.
///
/// - `content_type`: what scenes are made of; copyable. It is hashed, to know one's own again:
///   belay does so for integers, texts and bytes, for others `content_hash(const content_type&)`
///   in your namespace gives a std::uint64_t. Equal contents have equal hashes.
/// - `sessions() -> std::vector<std::string>`: those that are to be kept in step; names are opaque.
/// - `read(session) -> Result<std::optional<Scene<content_type>>>`: as it is now; nullopt if there
///   is none, or none any more.
/// - `apply(session, Scene<content_type>, Origin) -> std::error_code`: the scene is this from now
///   on, stamp included; an error says that it is not. It has Origin::remote, for whoever watches
///   the changes of scenes: those need not be told to the bridge.
///
/// Each is called in the bridge's turn, on its thread. Errors, and what they throw, are told, and
/// tried again. `session` is good for the call.
///
/// Semantics the compiler cannot check: an edit's stamp is later than that of the scene that it
/// changes (a HybridClock that `saw` those that are applied). An edit is in `read` before the
/// bridge is told of it, and no edit comes between a `read` and an `apply` of one turn.
template <class L>
concept LocalLike = detail::ContentIsRight<L> && detail::HasSessions<L> &&
                    detail::HasReadScene<L> && detail::HasApplyScene<L>;

namespace explain {

/// Names every requirement of LocalLike that L lacks.
template <class L>
consteval bool local_like() {
    static_assert(detail::HasContentType<L>,
                  "LocalLike: L needs a content_type, see docs/bridge.md");
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
