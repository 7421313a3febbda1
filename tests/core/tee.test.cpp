// SPDX-License-Identifier: MIT
// Goal: each observer of a Tee is notified as if it were alone, in order. A value is moved to the
// last one that takes it. An observer that was destroyed is not used again. Method: a machine that
// only notifies. The tests of each component show its own hooks in a Tee.
#include <belay/core/tee.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace belay;

namespace {

using Lines = std::vector<std::string>;

struct Notifier {
    int number = 7;
};
using Changed = detail::Hook<detail::OnState, Notifier, const int&>;
template <class V>
using Handed = detail::Hook<detail::OnMessage, Notifier, V>;

struct Plain {
    Lines* lines;
    void on_state(const int& value) { lines->push_back("plain " + std::to_string(value)); }
};
struct WithNotifier {
    Lines* lines;
    void on_state(auto& speaker, int value) {
        lines->push_back(std::to_string(speaker.number) + " " + std::to_string(value));
    }
};
struct Unrelated : NoObserver {
    void on_other(int) {}
};

/// Counts its copies, and records whether it was moved from.
struct MovedMessage {
    int* copies;
    std::unique_ptr<int> content = std::make_unique<int>(1);
    explicit MovedMessage(int& count) : copies{&count} {}
    MovedMessage(const MovedMessage& other) : copies{other.copies} {
        ++*copies;
        if (!other.content) content.reset();
    }
    MovedMessage(MovedMessage&&) noexcept = default;
};
struct Takes {
    int* whole;
    void on_message(MovedMessage message) { *whole += message.content != nullptr; }
};

}  // namespace

static_assert(detail::has_hook_of<Changed, Tee<Unrelated, std::reference_wrapper<Plain>>>);
static_assert(detail::has_hook_of<Changed, std::reference_wrapper<Tee<Tee<Plain>>>>);
static_assert(!detail::has_hook_of<Changed, Tee<Unrelated, NoObserver>>);
static_assert(std::is_move_assignable_v<Tee<Plain>>, "so that a queue with a Tee is");

TEST_CASE("Tee notifies each observer, in order, in the form that it has", "[core][tee][unit]") {
    Lines lines;
    Plain elsewhere{&lines};
    Tee tee{Unrelated{}, WithNotifier{&lines}, Tee{NoObserver{}, std::ref(elsewhere)},
            Plain{&lines}};
    Notifier speaker;
    detail::notify<Changed>(tee, speaker, 3);
    CHECK(lines == Lines{"7 3", "plain 3", "plain 3"});
    static_assert(std::is_same_v<decltype(tee.get<1>()), WithNotifier&>);
    CHECK(&tee.get<2>().get<1>() == &elsewhere);
}

TEST_CASE("Tee copies a value for all observers except the last", "[core][tee][unit]") {
    Notifier speaker;
    int copies = 0;
    int whole = 0;
    Tee tee{Takes{&whole}, Unrelated{}, Tee{Takes{&whole}, Takes{&whole}}, Unrelated{}};
    detail::notify<Handed<MovedMessage>>(tee, speaker, MovedMessage{copies});
    CHECK(whole == 3);
    CHECK(copies == 2);
    Tee matched_once{Unrelated{}, Takes{&whole}, Unrelated{}};
    detail::notify<Handed<MovedMessage>>(matched_once, speaker, MovedMessage{copies});
    CHECK(whole == 4);
    CHECK(copies == 2);
}

TEST_CASE("Tee passes a value that cannot be copied by reference, except to the last observer",
          "[core][tee][unit]") {
    struct Looks {
        int* sum;
        void on_message(const std::unique_ptr<int>& value) { *sum += *value; }
    };
    struct Keeps {
        std::unique_ptr<int> kept{};
        void on_message(std::unique_ptr<int> value) { kept = std::move(value); }
    };
    Notifier speaker;
    int sum = 0;
    Tee tee{Looks{&sum}, Tee{Looks{&sum}, Keeps{}}};
    detail::notify<Handed<std::unique_ptr<int>>>(tee, speaker, std::make_unique<int>(5));
    CHECK(sum == 10);
    REQUIRE(tee.get<1>().get<1>().kept != nullptr);
    CHECK(*tee.get<1>().get<1>().kept == 5);
}

TEST_CASE("Tee's round ends with an exception of a hook", "[core][tee][fault]") {
    struct Throws {
        void on_state(int) { throw 1; }
    };
    Lines lines;
    Notifier speaker;
    Tee tee{Plain{&lines}, Throws{}, Plain{&lines}};
    CHECK_THROWS_AS(detail::notify<Changed>(tee, speaker, 1), int);
    CHECK(lines == Lines{"plain 1"});
}

TEST_CASE("Tee that a hook destroys is not used any more", "[core][tee][regression]") {
    struct Kills {
        std::function<void()>* kill;
        void on_state(int) { (*kill)(); }
    };
    Lines lines;
    Notifier speaker;
    using Inner = Tee<Kills, Plain>;
    std::optional<Tee<Plain, Inner, Plain>> tee;
    std::function<void()> kill = [&] { tee.reset(); };
    tee.emplace(Plain{&lines}, Inner{Kills{&kill}, Plain{&lines}}, Plain{&lines});
    detail::notify<Changed>(*tee, speaker, 1);
    CHECK_FALSE(tee.has_value());
    CHECK(lines == Lines{"plain 1"});
}
