// SPDX-License-Identifier: MIT
// Goal: LocalLike accepts exactly the documented types. Method: an archetype, and types that
// lack one requirement each.
#include <belay/sync/scene.hpp>

#include "support/sync/bridge_archetypes.hpp"

using belay_test::MinimalLocal;

struct Unhashed {};
struct LocalWithoutHash : MinimalLocal {
    using content_type = Unhashed;
};
struct LocalOfViews : MinimalLocal {
    std::vector<std::string_view> sessions();
};
struct LocalThatReadsNoResult : MinimalLocal {
    std::optional<belay::Scene<belay_test::MinimalContent>> read(std::string_view);
};
struct LocalThatCannotRefuse : MinimalLocal {
    void apply(std::string_view, const belay::Scene<belay_test::MinimalContent>&, belay::Origin);
};
struct LocalWithoutOrigin : MinimalLocal {
    std::error_code apply(std::string_view, const belay::Scene<belay_test::MinimalContent>&);
};
struct LocalThatRemembers : MinimalLocal {
    belay::Result<std::optional<belay::part::SceneBase>> stored_base(std::string_view);
    std::error_code store_base(std::string_view, const belay::part::SceneBase&);
};
struct LocalThatOnlyStores : MinimalLocal {
    std::error_code store_base(std::string_view, const belay::part::SceneBase&);
};
struct LocalThatOnlyReads : MinimalLocal {
    belay::Result<std::optional<belay::part::SceneBase>> stored_base(std::string_view);
};
struct LocalThatCannotFailToStore : LocalThatOnlyReads {
    void store_base(std::string_view, const belay::part::SceneBase&);
};
struct LocalThatRemoves : MinimalLocal {
    std::error_code remove_scene(std::string_view, belay::Origin);
};
struct LocalThatRemovesWithoutOrigin : MinimalLocal {
    std::error_code remove_scene(std::string_view);
};

static_assert(belay::LocalLike<LocalThatRemoves>);
static_assert(belay::detail::RemovesScenes<LocalThatRemoves>);
static_assert(!belay::detail::RemovesScenes<MinimalLocal>);
static_assert(!belay::LocalLike<LocalThatRemovesWithoutOrigin>);
static_assert(belay::LocalLike<MinimalLocal>);
static_assert(!belay::detail::RemembersBases<MinimalLocal>);
static_assert(belay::LocalLike<LocalThatRemembers>);
static_assert(belay::detail::RemembersBases<LocalThatRemembers>);
static_assert(belay::explain::local_like<LocalThatRemembers>());
static_assert(!belay::LocalLike<LocalThatOnlyStores>);
static_assert(!belay::LocalLike<LocalThatOnlyReads>);
static_assert(!belay::LocalLike<LocalThatCannotFailToStore>);
static_assert(belay::explain::local_like<MinimalLocal>());
static_assert(!belay::LocalLike<int>);
static_assert(!belay::LocalLike<LocalWithoutHash>);
static_assert(!belay::LocalLike<LocalOfViews>);
static_assert(!belay::LocalLike<LocalThatReadsNoResult>);
static_assert(!belay::LocalLike<LocalThatCannotRefuse>);
static_assert(!belay::LocalLike<LocalWithoutOrigin>);
