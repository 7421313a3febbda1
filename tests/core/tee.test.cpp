// SPDX-License-Identifier: MIT
// Goal: each observer of a Tee is told as if it were alone, in order; what is handed over is moved
// to the last that hears of it; who is destroyed meanwhile is not touched again. Method: a machine
// that only tells. The tests of each part show its own hooks behind a Tee.
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

struct Speaker {
    int number = 7;
};
using Changed = detail::Hook<detail::OnState, Speaker, const int&>;
template <class V>
using Handed = detail::Hook<detail::OnMessage, Speaker, V>;

struct Plain {
    Lines* lines;
    void on_state(const int& value) { lines->push_back("plain " + std::to_string(value)); }
};
struct WithSpeaker {
    Lines* lines;
    void on_state(auto& speaker, int value) {
        lines->push_back(std::to_string(speaker.number) + " " + std::to_string(value));
    }
};
struct Unrelated : NoObserver {
    void on_other(int) {}
};

/// Counts its copies, and knows whether it was moved from.
struct Parcel {
    int* copies;
    std::unique_ptr<int> content = std::make_unique<int>(1);
    explicit Parcel(int& count) : copies{&count} {}
    Parcel(const Parcel& other) : copies{other.copies} {
        ++*copies;
        if (!other.content) content.reset();
    }
    Parcel(Parcel&&) noexcept = default;
};
struct Takes {
    int* whole;
    void on_message(Parcel parcel) { *whole += parcel.content != nullptr; }
};

}  // namespace

static_assert(detail::hears<Changed, Tee<Unrelated, std::reference_wrapper<Plain>>>);
static_assert(detail::hears<Changed, std::reference_wrapper<Tee<Tee<Plain>>>>);
static_assert(!detail::hears<Changed, Tee<Unrelated, NoObserver>>);
static_assert(std::is_move_assignable_v<Tee<Plain>>, "so that a queue with a Tee is");

TEST_CASE("Tee tells each, in order, in the form that it has", "[core][tee][unit]") {
    Lines lines;
    Plain elsewhere{&lines};
    Tee tee{Unrelated{}, WithSpeaker{&lines}, Tee{NoObserver{}, std::ref(elsewhere)},
            Plain{&lines}};
    Speaker speaker;
    detail::notify<Changed>(tee, speaker, 3);
    CHECK(lines == Lines{"7 3", "plain 3", "plain 3"});
    static_assert(std::is_same_v<decltype(tee.get<1>()), WithSpeaker&>);
    CHECK(&tee.get<2>().get<1>() == &elsewhere);
}

TEST_CASE("Tee copies what is handed over for all but the last that hears of it",
          "[core][tee][unit]") {
    Speaker speaker;
    int copies = 0;
    int whole = 0;
    Tee tee{Takes{&whole}, Unrelated{}, Tee{Takes{&whole}, Takes{&whole}}, Unrelated{}};
    detail::notify<Handed<Parcel>>(tee, speaker, Parcel{copies});
    CHECK(whole == 3);
    CHECK(copies == 2);
    Tee lonely{Unrelated{}, Takes{&whole}, Unrelated{}};
    detail::notify<Handed<Parcel>>(lonely, speaker, Parcel{copies});
    CHECK(whole == 4);
    CHECK(copies == 2);
}

TEST_CASE("Tee shows what cannot be copied to all but the last that hears of it",
          "[core][tee][unit]") {
    struct Looks {
        int* sum;
        void on_message(const std::unique_ptr<int>& value) { *sum += *value; }
    };
    struct Keeps {
        std::unique_ptr<int> kept{};
        void on_message(std::unique_ptr<int> value) { kept = std::move(value); }
    };
    Speaker speaker;
    int sum = 0;
    Tee tee{Looks{&sum}, Tee{Looks{&sum}, Keeps{}}};
    detail::notify<Handed<std::unique_ptr<int>>>(tee, speaker, std::make_unique<int>(5));
    CHECK(sum == 10);
    REQUIRE(tee.get<1>().get<1>().kept != nullptr);
    CHECK(*tee.get<1>().get<1>().kept == 5);
}

TEST_CASE("Tee's round ends with what a hook throws", "[core][tee][fault]") {
    struct Throws {
        void on_state(int) { throw 1; }
    };
    Lines lines;
    Speaker speaker;
    Tee tee{Plain{&lines}, Throws{}, Plain{&lines}};
    CHECK_THROWS_AS(detail::notify<Changed>(tee, speaker, 1), int);
    CHECK(lines == Lines{"plain 1"});
}

TEST_CASE("Tee that a hook destroys touches nothing any more", "[core][tee][regression]") {
    struct Kills {
        std::function<void()>* kill;
        void on_state(int) { (*kill)(); }
    };
    Lines lines;
    Speaker speaker;
    using Inner = Tee<Kills, Plain>;
    std::optional<Tee<Plain, Inner, Plain>> tee;
    std::function<void()> kill = [&] { tee.reset(); };
    tee.emplace(Plain{&lines}, Inner{Kills{&kill}, Plain{&lines}}, Plain{&lines});
    detail::notify<Changed>(*tee, speaker, 1);
    CHECK_FALSE(tee.has_value());
    CHECK(lines == Lines{"plain 1"});
}
