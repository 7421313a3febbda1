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

#include <belay/core/detail/member_names.hpp>
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

BELAY_DETAIL_MEMBER(remove_scene);
BELAY_DETAIL_MEMBER(stored_base);
BELAY_DETAIL_MEMBER(store_base);

template <class L>
concept RemovesScenes = requires(L& local, std::string_view session) {
    { local.remove_scene(session, Origin::remote) } -> std::same_as<std::error_code>;
};
template <class L>
concept RemoveIsRight = RemovesScenes<L> || !has_remove_scene<L>;

template <class L>
concept RemembersBases = requires(L& local, std::string_view session, const part::SceneBase& base) {
    { local.stored_base(session) } -> std::same_as<Result<std::optional<part::SceneBase>>>;
    { local.store_base(session, base) } -> std::same_as<std::error_code>;
};
// Without this check, a member of such a name with another signature would be ignored without an
// error.
template <class L>
concept BasesAreRight = RemembersBases<L> || (!has_stored_base<L> && !has_store_base<L>);

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
/// - optional, both: `stored_base(session) -> Result<std::optional<part::SceneBase>>` returns the
///   base that was stored last. `store_base(session, part::SceneBase) -> std::error_code` stores it
///   durably. With them, the next run of the program distinguishes a change of this side from one
///   of the other. Without them, each run compares stamps until both sides are equal once.
///   `stored_base` returns all fields as they were stored, `made_by` included: none stays none.
/// - optional: `remove_scene(session, Origin) -> std::error_code`: deletes the scene, because it
///   was deleted at the remote; with a remote that has `remove_scene`. The local side itself
///   deletes a scene by returning none from `read`, and reports that by `changed`. If the program
///   may end before the deletion is pushed, `sessions` lists the session until it is pushed.
///
/// The bridge calls each of these in its turn, on its thread. It reports their errors and
/// exceptions, and calls again. `session` is valid during the call.
///
/// Semantics the compiler cannot check:
/// - The stamp of an edit is later than the stamp of the scene that it changes.
///   HybridClock::stamp_above makes such stamps.
/// - `read` returns an edit before the bridge is notified of it.
/// - No edit comes between a `read` and an `apply` of one turn.
/// - A stored base is never newer than the scene: store scenes at least as durably as bases. If a
///   scene is lost and its base is not, the bridge takes the older scene for an edit.
/// - Equal contents have equal hashes in all builds of the program that share stored bases.
template <class L>
concept LocalLike =
    detail::ContentIsRight<L> && detail::HasSessions<L> && detail::HasReadScene<L> &&
    detail::HasApplyScene<L> && detail::BasesAreRight<L> && detail::RemoveIsRight<L>;

namespace explain {

/// Names every requirement of LocalLike that L lacks.
template <class L>
consteval bool local_like() {
    static_assert(detail::HasContentType<L>,
                  "LocalLike: L needs a content_type; see docs/reference/bridges.md");
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
    static_assert(detail::RemoveIsRight<L>,
                  "LocalLike: L's remove_scene must be 'std::error_code "
                  "remove_scene(std::string_view session, belay::Origin)'");
    static_assert(detail::BasesAreRight<L>,
                  "LocalLike: L needs both 'belay::Result<std::optional<belay::part::SceneBase>> "
                  "stored_base(std::string_view session)' and 'std::error_code "
                  "store_base(std::string_view session, belay::part::SceneBase)', or neither");
    return LocalLike<L>;
}

}  // namespace explain

}}  // namespace belay
