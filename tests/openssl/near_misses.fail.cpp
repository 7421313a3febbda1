// SPDX-License-Identifier: MIT
// Goal: misuse of jwt::Authorizer does not compile, and the error states the reason. Method:
// each case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL
// all of them compile.
#include <belay/openssl/jwt_authorizer.hpp>

// expect-error: jwt::Authorizer: rights must be callable with .*and return a belay::Access
namespace rights_that_say_yes {
struct Rights {
#if defined(BELAY_CONTROL)
    belay::Access operator()(const belay::jwt::Claims&, const belay::RoomRequest&) { return {}; }
#else
    bool operator()(const belay::jwt::Claims&, const belay::RoomRequest&) { return true; }
#endif
};
using Use = belay::jwt::Authorizer<Rights>;
static_assert(sizeof(Use) > 0);
}  // namespace rights_that_say_yes

// expect-error: jwt::Authorizer: rights must be callable with .*and return a belay::Access or a std::optional
namespace rights_of_a_name {
struct Rights {
#if defined(BELAY_CONTROL)
    belay::Access operator()(const belay::jwt::Claims&, const belay::RoomRequest&) { return {}; }
#else
    belay::Access operator()(const std::string&, const belay::RoomRequest&) { return {}; }
#endif
};
using Use = belay::jwt::Authorizer<Rights>;
static_assert(sizeof(Use) > 0);
}  // namespace rights_of_a_name

// expect-error: jwt::Authorizer: rights must be callable with .*and return a belay::Access
namespace rights_that_answer_a_grant {
struct Rights {
#if defined(BELAY_CONTROL)
    using Answer = belay::Completion<std::optional<belay::Access>>;
#else
    using Answer = belay::Completion<belay::Grant>;
#endif
    void operator()(const belay::jwt::Claims&, const belay::RoomRequest&, Answer) {}
};
using Use = belay::jwt::Authorizer<Rights>;
static_assert(sizeof(Use) > 0);
}  // namespace rights_that_answer_a_grant

struct AnyRights {
    belay::Access operator()(const belay::jwt::Claims&, const belay::RoomRequest&) { return {}; }
};

// expect-error: jwt::Authorizer: the observer's on_rejected must be
namespace observer_of_texts {
struct Observer {
#if defined(BELAY_CONTROL)
    void on_rejected(const std::error_code&) {}
#else
    void on_rejected(const std::string&) {}
#endif
};
using Use = belay::jwt::Authorizer<AnyRights, Observer>;
static_assert(sizeof(Use) > 0);
}  // namespace observer_of_texts

// expect-error: jwt::Authorizer: the observer has no hook
namespace observer_misspelt {
struct Observer {
#if defined(BELAY_CONTROL)
    void on_rejected(const std::error_code&) {}
#else
    void on_refusal(const std::error_code&) {}
#endif
};
using Use = belay::jwt::Authorizer<AnyRights, Observer>;
static_assert(sizeof(Use) > 0);
}  // namespace observer_misspelt
