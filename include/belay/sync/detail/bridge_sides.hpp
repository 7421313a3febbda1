// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/bridge_sides.hpp
/// BridgeSides: the two objects of the user that a bridge connects.
#pragma once

#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::move
#include <vector>        // std::vector

#include <belay/sync/detail/scene_reconciliation.hpp>
#include <belay/sync/remote_like.hpp>
#include <belay/sync/sync_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns stamp and hash of a scene.   Throws: what a user's hash throws.
template <class Content>
[[nodiscard]] SceneMark mark_of(const Scene<Content>& scene) {
    if (scene.removed) return tombstone(scene.stamp);
    return {scene.stamp, hash_of_value(scene.content, 0)};
}

/// Runs code of the local side.   Returns: its result, or SyncErrc::local_threw.
template <class F>
[[nodiscard]] auto ask_local(F&& f) -> decltype(f()) {
#if defined(__cpp_exceptions)
    try {
        return f();
    } catch (...) {
        return SyncErrc::local_threw;
    }
#else
    return f();
#endif
}

/// Calls the local side. During that, and during calls of the remote, `inside()` returns true.
template <class Local, class Remote>
class BridgeSides {
public:
    using Content = typename Local::content_type;
    struct Marked {
        Scene<Content> scene;
        SceneMark mark;
    };
    struct [[nodiscard]] Inside {
        explicit Inside(BridgeSides& sides) noexcept : all{sides} { all.inside_ = true; }
        Inside(const Inside&) = delete;
        Inside& operator=(const Inside&) = delete;
        ~Inside() { all.inside_ = false; }
        BridgeSides& all;
    };

    /// Whether scenes can be deleted on both sides.
    static constexpr bool removes = RemovesScenes<Local> && HasRemoveRemote<Remote>;

    /// Whether the local side stores bases.
    static constexpr bool remembers = RemembersBases<Local>;

    BridgeSides(Local& l, Remote& r) noexcept : remote{r}, local_{l} {}

    [[nodiscard]] bool inside() const noexcept { return inside_; }

    [[nodiscard]] Result<std::vector<std::string>> sessions() {
        const Inside guard{*this};
        return ask_local([&]() -> Result<std::vector<std::string>> { return local_.sessions(); });
    }
    [[nodiscard]] Result<std::optional<Marked>> read(std::string_view session) {
        const Inside guard{*this};
        return ask_local([&]() -> Result<std::optional<Marked>> {
            Result<std::optional<Scene<Content>>> scene = local_.read(session);
            if (!scene) return scene.error();
            if (!*scene) return std::optional<Marked>{};
            const SceneMark mark = mark_of(**scene);
            return std::optional<Marked>{Marked{**std::move(scene), mark}};
        });
    }
    [[nodiscard]] std::error_code apply(std::string_view session, Scene<Content>&& scene) {
        const Inside guard{*this};
        return ask_local([&]() -> std::error_code {
            if constexpr (removes) {
                if (scene.removed) return local_.remove_scene(session, Origin::remote);
            }
            return local_.apply(session, std::move(scene), Origin::remote);
        });
    }
    /// Returns the base that the local side has stored; none if it stores none.
    [[nodiscard]] Result<std::optional<SceneMark>> stored_base(std::string_view session) {
        if constexpr (RemembersBases<Local>) {
            const Inside guard{*this};
            return ask_local(
                [&]() -> Result<std::optional<SceneMark>> { return local_.stored_base(session); });
        } else {
            return std::optional<SceneMark>{};
        }
    }
    [[nodiscard]] std::error_code store_base(std::string_view session, const SceneMark& base) {
        if constexpr (RemembersBases<Local>) {
            const Inside guard{*this};
            return ask_local([&]() -> std::error_code { return local_.store_base(session, base); });
        } else {
            return {};
        }
    }
    /// Returns a remote scene with its mark. Its hash is computed by the user's code.
    [[nodiscard]] static Result<std::optional<Marked>> marked(std::optional<Scene<Content>>&& s) {
        return ask_local([&]() -> Result<std::optional<Marked>> {
            if (!s) return std::optional<Marked>{};
            const SceneMark mark = mark_of(*s);
            return std::optional<Marked>{Marked{*std::move(s), mark}};
        });
    }

    Remote& remote;

private:
    Local& local_;
    bool inside_ = false;
};

}}}  // namespace belay::detail
