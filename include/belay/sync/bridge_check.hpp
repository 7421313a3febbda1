// SPDX-License-Identifier: MIT
/// \file belay/sync/bridge_check.hpp
/// check::local_side, check::remote_side: check that the two sides of a bridge are correct. For
/// tests of your sides; sync.hpp does not include it.
#pragma once

#include <algorithm>    // std::find
#include <concepts>     // std::equality_comparable, std::invocable
#include <cstdint>      // std::uint64_t, std::uint8_t
#include <memory>       // std::shared_ptr
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/core/detail/rule_check.hpp>
#include <belay/sync/scene.hpp>

namespace belay { inline namespace BELAY_ABI { namespace check {

/// A rule that a local side must follow and the compiler cannot check; see LocalLike.
enum class LocalRule : std::uint8_t {
    starts_empty,
    accepts_scenes,
    reads_what_was_applied,
    lists_what_it_has,
    has_no_base_at_first,
    keeps_the_last_base,
    base_changes_no_scene,
    scene_changes_no_base,
    removes_scenes,
    reopening_keeps_everything
};

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(LocalRule rule) noexcept {
    constexpr const char* sentences[] = {
        "a new local side has no scene of the session",
        "apply, store_base and remove_scene accept everything",
        "read returns the scene that was applied last, with its stamp",
        "sessions lists a session that has a scene",
        "a new local side has no base",
        "stored_base returns the base that was stored last",
        "store_base changes no scene",
        "apply and remove_scene change no base",
        "read returns no scene after remove_scene, until one is applied",
        "a local side that is closed and opened again keeps its scene and its base"};
    return detail::sentence_of(rule, sentences);
}

/// A rule that a remote side must follow and the compiler cannot check; see RemoteLike.
enum class RemoteRule : std::uint8_t {
    answers_each_call,
    starts_empty,
    accepts_scenes,
    returns_what_was_pushed,
    stamps_only_changes,
    keeps_sessions_apart,
    repeats_harmlessly,
    keeps_tombstones,
    a_push_ends_a_deletion,
    forgets_given_up_calls
};

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(RemoteRule rule) noexcept {
    constexpr const char* sentences[] = {
        "each call is answered once",
        "fetch of an unknown session returns no scene, and no failure",
        "push and remove_scene accept everything that is later than before",
        "fetch returns the content that was pushed last",
        "the stamp of a scene changes only by a push or a deletion",
        "a push changes no other session",
        "the same push again changes nothing",
        "fetch returns a scene with removed after remove_scene",
        "fetch returns a scene without removed after a push",
        "a call that was given up disturbs no later call"};
    return detail::sentence_of(rule, sentences);
}

}}}  // namespace belay::check

namespace belay { inline namespace BELAY_ABI { namespace detail {

struct NeverReopenedLocal {
    void operator()() const noexcept {}
};

/// The stamp with this number; each is later than the one before.
[[nodiscard]] constexpr Stamp check_stamp(std::uint32_t number) noexcept {
    return {WallTime{std::chrono::hours{24} * 365 * 30 + std::chrono::seconds{number}}, number,
            Id{std::byte{1}}};
}

/// A local side, and the scene and base that a correct one would have.
template <class Make, class Content, class Reopen>
class LocalChecker : public RuleCheck<check::LocalRule> {
public:
    LocalChecker(Make& make, Content& content, Reopen& reopen, std::string_view session)
        : content_{content}, reopen_{reopen}, session_{session}, local_{make()} {}

    [[nodiscard]] std::optional<Rule> run() {
        same_as_before(Rule::starts_empty, Rule::has_no_base_at_first);
        // The third scene has an earlier stamp: the remote's clock may be behind.
        for (const std::uint32_t stamp : {1U, 3U, 2U}) {
            apply(stamp);
            // The maker of a scene may be unknown, also after it was known.
            for (const auto& made_by : {std::optional{Origin::local}, std::optional<Origin>{},
                                        std::optional{Origin::remote}}) {
                store_base(stamp + 10, made_by);
                store_base(stamp + 11, made_by);
                reopened();
            }
            apply(stamp + 20);
            reopened();
            if (broken_) return broken_;
        }
        if constexpr (RemovesScenes<Local>) {
            accepts(local_->remove_scene(session_, Origin::remote));
            scene_.reset();
            same_as_before(Rule::removes_scenes, Rule::scene_changes_no_base);
            store_base(50, Origin::remote);
            reopened();
            apply(51);
        }
        return broken_;
    }

private:
    using Local = std::remove_cvref_t<decltype(*std::declval<Make&>()())>;
    static_assert(explain::local_like<Local>());
    using Given = typename Local::content_type;
    static_assert(std::equality_comparable<Given>,
                  "check::local_side: contents must be comparable by ==");

    void apply(std::uint32_t number) {
        scene_.emplace(Scene<Given>{content_(number), check_stamp(number)});
        accepts(local_->apply(session_, Scene<Given>{*scene_}, Origin::remote));
        same_as_before(Rule::reads_what_was_applied, Rule::scene_changes_no_base);
        const auto names = local_->sessions();
        expect(std::find(names.begin(), names.end(), session_) != names.end(),
               Rule::lists_what_it_has);
    }
    void store_base(std::uint32_t number, std::optional<Origin> made_by) {
        if constexpr (RemembersBases<Local>) {
            base_ = part::SceneBase{check_stamp(number), mix64(number),
                                    RemovesScenes<Local> && number % 2 == 0, made_by};
            accepts(local_->store_base(session_, *base_));
            same_as_before(Rule::base_changes_no_scene, Rule::keeps_the_last_base);
        }
    }
    void reopened() {
        if constexpr (!std::same_as<Reopen, NeverReopenedLocal>) {
            local_ = nullptr;
            local_ = reopen_();
            same_as_before(Rule::reopening_keeps_everything, Rule::reopening_keeps_everything);
        }
    }
    void same_as_before(Rule of_scene, Rule of_base) {
        const auto scene = local_->read(session_);
        expect(scene && scene->has_value() == scene_.has_value(), of_scene);
        if (scene && *scene && scene_) {
            expect((*scene)->content == scene_->content && (*scene)->stamp == scene_->stamp,
                   of_scene);
        }
        if constexpr (RemembersBases<Local>) {
            const auto base = local_->stored_base(session_);
            expect(base && *base == base_, of_base);
        }
    }
    void accepts(const std::error_code& error) noexcept { expect(!error, Rule::accepts_scenes); }

    Content& content_;
    Reopen& reopen_;
    const std::string session_;
    decltype(std::declval<Make&>()()) local_;
    std::optional<Scene<Given>> scene_{};
    std::optional<part::SceneBase> base_{};
};

/// A remote side, which answers by callbacks.
template <class Make, class Content>
class RemoteChecker : public RuleCheck<check::RemoteRule> {
public:
    RemoteChecker(Make& make, Content& content, std::size_t turns_max)
        : content_{content}, turns_max_{turns_max}, rig_{make()} {}

    [[nodiscard]] std::optional<Rule> run() {
        for (const char* session : {"one", "two"}) {
            const auto nothing = fetch(session);
            expect(nothing && !*nothing, Rule::starts_empty);
        }
        push("one", 1);
        has("one", 1, Rule::returns_what_was_pushed);
        const auto other = fetch("two");
        expect(other && !*other, Rule::keeps_sessions_apart);
        push("two", 2);
        has("one", 1, Rule::keeps_sessions_apart);
        push("one", 3);
        has("one", 3, Rule::returns_what_was_pushed);
        push("one", 3);
        has("one", 3, Rule::repeats_harmlessly);
        given_up();
        if constexpr (HasRemoveRemote<Remote>) deletion();
        return broken_;
    }

private:
    using Remote = std::remove_cvref_t<decltype(std::declval<Make&>()()->remote)>;
    static_assert(explain::remote_like<Remote>());
    using Given = typename Remote::content_type;
    using Fetched = Result<std::optional<Scene<Given>>, Failure>;
    static_assert(std::equality_comparable<Given>,
                  "check::remote_side: contents must be comparable by ==");

    /// Calls `ask(completion)`.   Returns: the answer, if there was exactly one.
    template <class T, class Ask>
    [[nodiscard]] std::optional<T> answer_of(Ask ask) {
        struct Answers {
            std::optional<T> last{};
            int count = 0;
        };
        const auto answers = std::make_shared<Answers>();
        ask(Completion<T>{[answers](std::optional<T>&& answer) noexcept {
            ++answers->count;
            answers->last = std::move(answer);
        }});
        for (std::size_t i = 0; i < turns_max_ && answers->count == 0; ++i) rig_->run_once();
        expect(answers->count == 1 && answers->last.has_value(), Rule::answers_each_call);
        return std::move(answers->last);
    }
    [[nodiscard]] Fetched fetch(std::string_view session) {
        auto answer = answer_of<Fetched>(
            [&](Completion<Fetched> done) { rig_->remote.fetch(session, std::move(done)); });
        return answer ? *std::move(answer) : Fetched::failure(Failure{Cause::lost});
    }
    void push(std::string_view session, std::uint32_t number) {
        const auto answer = answer_of<Failure>([&](Completion<Failure> done) {
            rig_->remote.push(session, Scene<Given>{content_(number), check_stamp(number)},
                              std::move(done));
        });
        expect(answer && answer->cause == Cause::none, Rule::accepts_scenes);
    }
    void has(std::string_view session, std::uint32_t number, Rule rule) {
        const Fetched scene = fetch(session);
        expect(scene && *scene && (*scene)->content == content_(number) && !(*scene)->removed,
               rule);
        const Fetched again = fetch(session);
        if (!scene || !*scene) return;
        expect(again && *again && (*again)->stamp == (*scene)->stamp, Rule::stamps_only_changes);
    }
    void given_up() {
        for (int i = 0; i < 3; ++i) {
            driver::Question<Fetched> question;
            question.attach(waker_);
            rig_->remote.fetch("one", question.ask());
            question.drop();
        }
        has("one", 3, Rule::forgets_given_up_calls);
    }
    void deletion() {
        const auto answer = answer_of<Failure>([&](Completion<Failure> done) {
            rig_->remote.remove_scene("one", part::SceneRemoval{check_stamp(4)}, std::move(done));
        });
        expect(answer && answer->cause == Cause::none, Rule::accepts_scenes);
        const Fetched scene = fetch("one");
        expect(scene && *scene && (*scene)->removed, Rule::keeps_tombstones);
        has("two", 2, Rule::keeps_sessions_apart);
        push("one", 5);
        has("one", 5, Rule::a_push_ends_a_deletion);
    }

    Content& content_;
    const std::size_t turns_max_;
    Waker waker_{};
    decltype(std::declval<Make&>()()) rig_;
};

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace check {

/// Tests a local side against the rules of LocalLike, and returns the first broken rule, if any.
///
///     const auto broken = check::local_side([] { return std::make_unique<Mine>(); },
///                                           [](std::uint32_t i) { return std::to_string(i); });
///     if (broken) std::puts(to_string(*broken));
///
/// - `make()` returns a pointer to a new local side without scenes. The pointer can be assigned
///   nullptr, which destroys the local side.
/// - `content(i)` returns the content with the number `i`: always the same content, and a different
///   one for each `i`. Contents have ==.
/// - `reopen()`, for a local side that outlives its object: opens the one again that `make`
///   returned last, and returns a pointer to it.
/// - `session`: the name of a session that the local side accepts.
///
/// Errors: the rule.   Throws: what the local side and the other arguments throw.
/// Complexity: about 20 calls of each member.
template <class Make, class Content, std::invocable Reopen>
[[nodiscard]] std::optional<LocalRule> local_side(Make make, Content content, Reopen reopen,
                                                  std::string_view session = "check") {
    return detail::LocalChecker<Make, Content, Reopen>{make, content, reopen, session}.run();
}

/// Checks a local side that ends with its object, in the same way.
template <class Make, class Content>
[[nodiscard]] std::optional<LocalRule> local_side(Make make, Content content,
                                                  std::string_view session = "check") {
    return local_side(std::move(make), std::move(content), detail::NeverReopenedLocal{}, session);
}

/// Tests a remote side against the rules of RemoteLike, and returns the first broken rule, if any.
///
///     struct Rig {
///         MyLoop loop;
///         Mine remote{loop};
///         void run_once() { loop.poll(1ms); }
///     };
///     const auto broken = check::remote_side([] { return std::make_unique<Rig>(); },
///                                            [](std::uint32_t i) { return std::to_string(i); });
///
/// - `make()` returns a pointer to a new object with two members. `remote` has no scenes of the
///   sessions "one" and "two". `run_once()` lets the remote do its pending work.
/// - `content(i)`: as for `local_side`.
/// - `turns_max`: the most calls of `run_once()` until a call must be answered.
///
/// Stamps may be cut, missing, or given by the remote. Errors: the rule.
/// Throws: std::bad_alloc, and what the remote side and the other arguments throw.
/// Blocks: by `run_once()`.
template <class Make, class Content>
[[nodiscard]] std::optional<RemoteRule> remote_side(Make make, Content content,
                                                    std::size_t turns_max = 10'000) {
    return detail::RemoteChecker<Make, Content>{make, content, turns_max}.run();
}

}}}  // namespace belay::check
