// SPDX-License-Identifier: MIT
// Goal: a token is accepted only if every part of it is valid. Method: the examples of the RFCs,
// tokens of another implementation, one invalid token of every kind, and mutations of valid
// ones.
#include <belay/openssl/jwt_verifier.hpp>

#include <set>
#include <string>

#include <nlohmann/json.hpp>

#include <belay/core/random.hpp>

#include "support/catch.hpp"
#include "support/openssl/jwt_maker.hpp"
#include "support/openssl/jwt_vectors.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::JwtMaker;
using belay_test::RsaPair;
namespace vectors = belay_test::jwt_vectors;

namespace {

constexpr WallTime test_now{1'500'000'000s};
constexpr jwt::Algorithm by_rsa = jwt::Algorithm::rs256;
const std::string good_claims = R"({"sub":"ann","exp":1500000100})";

jwt::Verifier verifier_of(jwt::Options options,
                          std::vector<jwt::Key> keys = {{JwtMaker::secret()}}) {
    auto made = jwt::Verifier::make(std::move(options), std::move(keys));
    REQUIRE(made);
    return std::move(*made);
}
/// Returns the error of a token; none if it is accepted.
std::error_code verdict(const jwt::Verifier& verifier, std::string_view token,
                        WallTime at = test_now) {
    const auto claims = verifier.verify(token, at);
    return claims ? std::error_code{} : claims.error();
}
std::error_code verdict_of(const std::string& payload, jwt::Options options = {}) {
    return verdict(verifier_of(std::move(options)), JwtMaker::hs256(payload));
}

/// The value that nlohmann/json parses; none if it rejects the text, or if an object has a name
/// twice.
std::optional<nlohmann::json> peer_object(const std::string& text) {
    std::vector<std::set<std::string>> names;
    bool twice = false;
    const auto look = [&](int, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
        if (event == nlohmann::json::parse_event_t::object_start) names.emplace_back();
        if (event == nlohmann::json::parse_event_t::object_end) names.pop_back();
        if (event == nlohmann::json::parse_event_t::key)
            twice = !names.back().insert(parsed.get<std::string>()).second || twice;
        return true;
    };
    nlohmann::json object = nlohmann::json::parse(text, look, false);
    if (twice || !object.is_object()) return std::nullopt;
    return object;
}
/// Whether both have the same members, as far as JwtValue stores them.
bool is_same(const detail::JwtObject& ours, const nlohmann::json& theirs) {
    for (const auto& [name, value] : theirs.items()) {
        const detail::JwtValue* const found = ours.find(name);
        if (found == nullptr || found->is_text() != value.is_string() ||
            found->is_number() != value.is_number())
            return false;
        if (found->is_text() && found->text != value.get<std::string>()) return false;
        if (found->is_number() && nlohmann::json::parse(found->text) != value) return false;
        const bool is_array = found->kind == detail::JwtValue::Kind::array;
        if (is_array != value.is_array() || (is_array && found->items.size() != value.size()))
            return false;
        for (std::size_t i = 0; is_array && i < value.size(); ++i) {
            if (found->items[i].is_text() != value[i].is_string()) return false;
        }
    }
    return true;
}

}  // namespace

TEST_CASE("JwtObject accepts and reads the same JSON as another parser",
          "[openssl][jwt_verifier][property]") {
    const std::string texts[] = {
        R"({"sub":"ann","exp":1500000100,"nbf":1.5e9,"aud":["board","x",7,[1]],"a":{"b":[{}]}})",
        R"( { "a" : [ ] , "b" : { } , "c" : true , "d" : null, "e":false} )",
        R"({"\u00c4\n\"\\\/":"\ud83d\ude00\u20ac\b\f\r\t","x":"Ä€😀"})",
        R"({"n":[0,-0,0.5,-1e5,1E+2,2e-3,12345678901234567890],"m":0e99})",
    };
    // Pieces of text that make JSON valid, or invalid.
    const std::string bytes =
        "{}[]\",:\\/u0123456789dDcC8.eE+-truefalsn \t\x01\x7f\x80\xbf\xc3\xa4\xf0";
    int accepted = 0;
    Random bits{Seed{1}};
    for (std::size_t i = 0; i < 6000; ++i) {
        std::string text = texts[i % std::size(texts)];
        for (auto n = i < 4 ? std::uint64_t{0} : 1 + uniform_upto(bits, 2); n != 0; --n) {
            const auto at = static_cast<std::size_t>(uniform_upto(bits, text.size() - 1));
            const char c = bytes[static_cast<std::size_t>(uniform_upto(bits, bytes.size() - 1))];
            const auto how = uniform_upto(bits, 2);
            how == 0 ? text.erase(at, 1) : how == 1 ? text.insert(at, 1, c) : (text[at] = c, text);
        }
        const auto ours = detail::JwtObject::parse(text);
        const auto theirs = peer_object(text);
        INFO(text);
        REQUIRE(ours.has_value() == theirs.has_value());
        if (!ours) continue;
        REQUIRE(is_same(*ours, *theirs));
        ++accepted;
    }
    CHECK(accepted > 500);
}

TEST_CASE("JwtObject accepts numbers up to the largest double",
          "[openssl][jwt_verifier][unit][regression]") {
    const std::string zeros(290, '0');
    const std::string texts[] = {"1.7976931348623157e308",
                                 "-1.7976931348623158e+308",
                                 "179769313486231570" + zeros + "0",
                                 "0.00017976931348623157e312",
                                 "1.797693134862315807e308",
                                 "1.797693134862315808e308",
                                 "1.7976931348623159e308",
                                 "-1.8e308",
                                 "9e308",
                                 "9.99e308",
                                 "17976931348623159" + zeros + "00",
                                 "0.9e309",
                                 "1e309"};
    for (const std::string& text : texts) {
        const auto json = "{\"exp\":" + text + "}";
        INFO(json);
        CHECK(detail::JwtObject::parse(json).has_value() == peer_object(json).has_value());
    }
}

TEST_CASE("The tokens of RFC 7515 have the signatures of their keys",
          "[openssl][jwt_verifier][golden]") {
    const jwt::Verifier hs =
        verifier_of({.issuer = "joe"}, {{*detail::from_base64url(vectors::rfc_secret)}});
    const jwt::Verifier rs = verifier_of({.algorithm = by_rsa, .issuer = "joe"},
                                         {{std::string{vectors::rfc_public_key}}});
    const WallTime then{1300819379s};
    // All checks except that of the subject, which these tokens lack.
    CHECK(verdict(hs, vectors::rfc_hs256, then) == jwt::Errc::bad_subject);
    CHECK(verdict(rs, vectors::rfc_rs256, then) == jwt::Errc::bad_subject);
    CHECK(verdict(hs, vectors::rfc_hs256, then + 31s) == jwt::Errc::expired);
    CHECK(verdict(rs, vectors::rfc_hs256, then) == jwt::Errc::wrong_algorithm);
    CHECK(verdict(hs, vectors::rfc_rs256, then) == jwt::Errc::wrong_algorithm);
    // RFC 7519, section 6.1: a token without a signature.
    CHECK(verdict(hs,
                  "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0d"
                  "HA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
                  then) == jwt::Errc::wrong_algorithm);
}

TEST_CASE("jwt::Verifier accepts tokens of another implementation",
          "[openssl][jwt_verifier][golden]") {
    const jwt::Verifier hs =
        verifier_of({.issuer = "https://id.example", .audience = "board"},
                    {{"node-secret-of-thirty-two-bytes!", "k1"}, {JwtMaker::secret(), "k2"}});
    const auto claims = hs.verify(vectors::node_hs256, test_now);
    REQUIRE(claims);
    CHECK(claims->subject == "ann");
    CHECK(claims->expires == WallTime{2'000'000'000s});
    CHECK(claims->json.find("\"name\":\"Ann \u00c4\"") != std::string::npos);
    CHECK(hs.valid_for(*claims, test_now) == 500'000'000s + 30s);

    const jwt::Verifier rs = verifier_of({.algorithm = by_rsa, .subject = jwt::Subject::decimal},
                                         {{std::string{vectors::node_public_key}, "rsa-1"}});
    const auto numbered = rs.verify(vectors::node_rs256, test_now);
    REQUIRE(numbered);
    CHECK(numbered->subject == "42");
}

TEST_CASE("jwt::Verifier selects a key only among the given ones, by its key id",
          "[openssl][jwt_verifier][unit]") {
    const std::string other(32, 'o');
    const jwt::Verifier two = verifier_of({}, {{JwtMaker::secret(), "a"}, {other, "b"}});
    const auto with = [&](const std::string& kid, const std::string& key) {
        return verdict(two,
                       JwtMaker::hs256(good_claims, R"({"alg":"HS256","kid":)" + kid + "}", key));
    };
    CHECK_FALSE(with("\"a\"", JwtMaker::secret()));
    CHECK_FALSE(with("\"b\"", other));
    CHECK(with("\"b\"", JwtMaker::secret()) == jwt::Errc::bad_signature);
    CHECK(with("\"c\"", other) == jwt::Errc::unknown_key);
    CHECK(with("\"\"", other) == jwt::Errc::unknown_key);
    CHECK(with("7", other) == jwt::Errc::unknown_key);
    CHECK(with("\"/dev/null\"", "") == jwt::Errc::unknown_key);
    CHECK(verdict(two, JwtMaker::hs256(good_claims)) == jwt::Errc::unknown_key);
    // A single key without a key id is used for all tokens.
    CHECK_FALSE(
        verdict(verifier_of({}), JwtMaker::hs256(good_claims, R"({"alg":"HS256","kid":"x"})")));
}

TEST_CASE("jwt::Verifier rejects keys that are weak, unreadable or ambiguous",
          "[openssl][jwt_verifier][unit]") {
    const auto taken = [](jwt::Algorithm algorithm, std::vector<jwt::Key> keys) {
        const auto made = jwt::Verifier::make({.algorithm = algorithm}, std::move(keys));
        if (!made) CHECK(made.error() == jwt::Errc::bad_key);
        return static_cast<bool>(made);
    };
    constexpr jwt::Algorithm hs256 = jwt::Algorithm::hs256;
    const std::string secret = JwtMaker::secret();
    const std::string pem{vectors::node_public_key};
    CHECK(taken(hs256, {{secret}}));
    CHECK_FALSE(taken(hs256, {{secret.substr(1)}}));
    CHECK_FALSE(taken(hs256, {{""}}));
    CHECK_FALSE(taken(hs256, {}));
    CHECK_FALSE(taken(hs256, {{pem}}));  // a public key is no secret
    CHECK_FALSE(taken(hs256, {{secret, "a"}, {secret + "x", "a"}}));
    CHECK_FALSE(taken(hs256, {{secret, "a"}, {secret + "x"}}));
    CHECK(taken(by_rsa, {{pem}}));
    CHECK_FALSE(taken(by_rsa, {{secret}}));
    CHECK_FALSE(taken(by_rsa, {{pem.substr(0, pem.size() / 2)}}));
    CHECK_FALSE(taken(by_rsa, {{RsaPair{1024}.public_pem()}}));
    CHECK_FALSE(taken(by_rsa, {{pem, "a"}, {"", "b"}}));
    const auto text = [](jwt::Algorithm algorithm, std::vector<jwt::Key> keys) {
        return jwt::Verifier::make({.algorithm = algorithm}, std::move(keys)).error().message();
    };
    // The message has the key's index, its fault, the requirement and the advice, and nothing of
    // the key itself.
    CHECK(text(hs256, {{secret, "a"}, {std::string(16, 'q'), "b"}}) ==
          "key 2 of 2, \"b\": it has 16 bytes, but HS256 needs at least 32 bytes: generate a "
          "secret with 'openssl rand -base64 48', and use it here and where tokens are signed");
    CHECK(text(hs256, {{pem}}) ==
          "key 1 of 1: it is a PEM text and not a secret: choose jwt::Algorithm::rs256 for tokens "
          "that are signed by RS256");
    CHECK(text(by_rsa, {{RsaPair{1024}.public_pem(), "a"}, {pem, "b"}}) ==
          "key 1 of 2, \"a\": it has 1024 bits, but RS256 needs 2048 to 16384 bits: let the issuer "
          "sign with a new key, 'openssl genrsa 2048'");
    CHECK(text(by_rsa, {{secret}}) ==
          "key 1 of 1: it is not a public RSA key as PEM (-----BEGIN PUBLIC KEY-----): print one "
          "from a private key with 'openssl rsa -pubout'");
    CHECK(text(hs256, {{secret, "a"}, {secret + "x"}}) ==
          "key 2 of 2: it has no id: if there are several keys, set jwt::Key::id to the 'kid' of "
          "the tokens that it signs");
    CHECK(text(hs256, {{secret, "a"}, {secret + "x", "a"}}) ==
          "key 2 of 2, \"a\": another key has this id: give each key its own id, and sign with "
          "that id as 'kid'");
    CHECK(text(hs256, {}) == "there is no key: pass at least one jwt::Key to jwt::Verifier::make");
    for (const Duration leeway : {Duration{-1}, Duration{10min} + Duration{1}}) {
        const auto made = jwt::Verifier::make({.leeway = leeway}, {{secret}});
        REQUIRE_FALSE(made);
        CHECK(made.error() == jwt::Errc::bad_options);
    }
}

TEST_CASE("jwt::Verifier rejects headers of other kinds before it uses a key",
          "[openssl][jwt_verifier][fault]") {
    const jwt::Verifier hs = verifier_of({});
    const auto of = [&](const std::string& header) {
        return verdict(hs, JwtMaker::hs256(good_claims, header));
    };
    CHECK_FALSE(of(R"({"alg":"HS256"})"));
    for (const char* const wrong :
         {R"({"alg":"none"})", R"({"alg":"None"})", R"({"alg":""})", R"({"alg":"hs256"})",
          R"({"alg":"HS512"})", R"({"alg":"RS256"})", R"({"alg":null})", R"({"alg":["HS256"]})",
          R"({"typ":"JWT"})"}) {
        CHECK(of(wrong) == jwt::Errc::wrong_algorithm);
    }
    CHECK(of(R"({"alg":"HS256","crit":["exp"]})") == jwt::Errc::critical_extension);
    CHECK(of(R"({"alg":"HS256","crit":[]})") == jwt::Errc::critical_extension);
    for (const char* const broken : {R"({"alg":"HS256","alg":"HS256"})", R"(["HS256"])", "",
                                     R"({"alg":"HS256")", R"({"alg":"HS256"}x)", "null"}) {
        CHECK(of(broken) == jwt::Errc::malformed);
    }
    // The public key as a secret is the oldest attack.
    const RsaPair pair{2048};
    const jwt::Verifier rs = verifier_of({.algorithm = by_rsa}, {{pair.public_pem()}});
    CHECK_FALSE(verdict(rs, pair.rs256(good_claims)));
    CHECK(verdict(rs, JwtMaker::hs256(good_claims, R"({"alg":"HS256"})", pair.public_pem())) ==
          jwt::Errc::wrong_algorithm);
    CHECK(verdict(rs, JwtMaker::hs256(good_claims, R"({"alg":"RS256"})", pair.public_pem())) ==
          jwt::Errc::bad_signature);
    CHECK(verdict(rs, RsaPair{2048}.rs256(good_claims)) == jwt::Errc::bad_signature);
}

TEST_CASE("jwt::Verifier accepts only tokens in strict form", "[openssl][jwt_verifier][fault]") {
    const jwt::Verifier hs = verifier_of({});
    const std::string token = JwtMaker::hs256(good_claims);
    REQUIRE_FALSE(verdict(hs, token));
    CHECK(verdict(hs, "") == jwt::Errc::missing);
    for (const std::string& broken :
         {std::string{"."}, std::string{".."}, std::string{"a.b"}, token + ".", "." + token,
          token + "=", token + " ", " " + token, token + "\n", token.substr(0, token.rfind('.')),
          "Bearer " + token, std::string{"\0.\0.\0", 5}}) {
        CHECK(verdict(hs, broken) == jwt::Errc::malformed);
    }
    CHECK(verdict(hs, token.substr(0, token.rfind('.') + 1)) == jwt::Errc::bad_signature);
    // The same bytes in another encoding: the unused bits of the last digit differ.
    std::string other_token = token;
    const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    other_token.back() = digits[digits.find(other_token.back()) ^ 1U];
    CHECK(verdict(hs, other_token) == jwt::Errc::malformed);
    const auto padded = [&](std::size_t bytes) {
        return JwtMaker::hs256(R"({"sub":"ann","exp":1500000100,"x":")" + std::string(bytes, 'x') +
                               "\"}");
    };
    CHECK_FALSE(verdict(hs, padded(2900)));
    CHECK(padded(3050).size() > jwt::Verifier::token_bytes_max);
    CHECK(verdict(hs, padded(3050)) == jwt::Errc::malformed);
    for (const char* const payload : {"", "[]", "null", R"({"sub":"a","sub":"b","exp":1500000100})",
                                      R"({"sub":"ann","exp":1500000100,"a":{"b":1,"b":2}})",
                                      "{\"sub\":\"\xff\"}", R"({"sub":"ann","exp":1e999})"}) {
        CHECK(verdict_of(payload) == jwt::Errc::malformed);
    }
    // A parser in C may end at the NUL byte.
    using namespace std::string_literals;
    CHECK(verdict_of("{\"sub\":\"ann\",\"exp\":1500000100}\0,\"exp\":1}"s) == jwt::Errc::malformed);
    // An object and 127 arrays; one more is too deep.
    const auto nested = [&](std::size_t arrays) {
        return verdict_of(R"({"a":)" + std::string(arrays, '[') + std::string(arrays, ']') + "}");
    };
    CHECK(nested(127) == jwt::Errc::expired);
    CHECK(nested(128) == jwt::Errc::malformed);
    CHECK(nested(1400) == jwt::Errc::malformed);
}

TEST_CASE("jwt::Verifier compares times to the second, with the given leeway",
          "[openssl][jwt_verifier][unit]") {
    const auto of = [](const std::string& times, Duration leeway = 0s) {
        return verdict_of(R"({"sub":"ann",)" + times + "}", {.leeway = leeway});
    };
    CHECK_FALSE(of(R"("exp":1500000001)"));
    CHECK(of(R"("exp":1500000000)") == jwt::Errc::expired);
    CHECK_FALSE(of(R"("exp":1500000000.5)"));
    CHECK_FALSE(of(R"("exp":1499999991)", 10s));
    CHECK(of(R"("exp":1499999990)", 10s) == jwt::Errc::expired);
    CHECK_FALSE(of(R"("exp":1e300)"));
    CHECK_FALSE(of(R"("exp":18446744073709551615)"));
    CHECK(of(R"("exp":-1)") == jwt::Errc::expired);
    CHECK_FALSE(of(R"("exp":1.50000000005e10)"));
    CHECK_FALSE(of(R"("exp":0.00015000000005e13)"));
    CHECK_FALSE(of(R"("exp":15000000005e-1)"));
    CHECK(of(R"("exp":1500000000e-1)") == jwt::Errc::expired);
    CHECK(of(R"("exp":0.0)") == jwt::Errc::expired);
    CHECK_FALSE(of(R"("exp":9300000000)"));
    CHECK(of(R"("exp":"1500000001")") == jwt::Errc::expired);
    CHECK(of(R"("exp":null)") == jwt::Errc::expired);
    CHECK(of(R"("iat":1)") == jwt::Errc::expired);  // none
    CHECK_FALSE(of(R"("exp":1500000001,"nbf":1500000000)"));
    CHECK(of(R"("exp":1500000009,"nbf":1500000001)") == jwt::Errc::not_yet_valid);
    CHECK_FALSE(of(R"("exp":1500000099,"nbf":1500000010)", 10s));
    CHECK(of(R"("exp":1500000099,"nbf":1500000011)", 10s) == jwt::Errc::not_yet_valid);
    CHECK(of(R"("exp":1500000001,"nbf":"0")") == jwt::Errc::not_yet_valid);
}

TEST_CASE("jwt::Verifier accepts only the issuer and audience of its options",
          "[openssl][jwt_verifier][unit]") {
    const auto of = [](const std::string& more, jwt::Options options) {
        return verdict_of(R"({"sub":"ann","exp":1500000100)" + more + "}", std::move(options));
    };
    const jwt::Options ours{.issuer = "id", .audience = "board"};
    CHECK_FALSE(of(R"(,"iss":"id","aud":"board")", ours));
    CHECK_FALSE(of(R"(,"iss":"id","aud":["mail","board"])", ours));
    CHECK(of(R"(,"iss":"other","aud":"board")", ours) == jwt::Errc::wrong_issuer);
    CHECK(of(R"(,"iss":["id"],"aud":"board")", ours) == jwt::Errc::wrong_issuer);
    CHECK(of(R"(,"aud":"board")", ours) == jwt::Errc::wrong_issuer);
    CHECK(of(R"(,"iss":"id")", ours) == jwt::Errc::wrong_audience);
    CHECK(of(R"(,"iss":"id","aud":[])", ours) == jwt::Errc::wrong_audience);
    CHECK(of(R"(,"iss":"id","aud":["board",1])", ours) == jwt::Errc::wrong_audience);
    CHECK(of(R"(,"iss":"id","aud":"boar")", ours) == jwt::Errc::wrong_audience);
    // RFC 7519, section 4.1.3: a verifier that is not in the audience must reject the token.
    CHECK(of(R"(,"aud":"board")", {}) == jwt::Errc::wrong_audience);
    CHECK_FALSE(of(R"(,"iss":"anybody")", {}));
}

TEST_CASE("A subject is a string, or a number in its shortest form",
          "[openssl][jwt_verifier][unit]") {
    const auto of = [](const std::string& subject, jwt::Subject form) {
        return verdict_of(R"({"exp":1500000100,"sub":)" + subject + "}", {.subject = form});
    };
    for (const char* const text : {R"("ann")", R"("7")", R"("é")"}) {
        CHECK_FALSE(of(text, jwt::Subject::text));
    }
    for (const char* const wrong : {R"("")", "7", "null", R"(["ann"])", R"("a\u0000b")"}) {
        CHECK(of(wrong, jwt::Subject::text) == jwt::Errc::bad_subject);
    }
    for (const char* const number : {R"("0")", R"("7")", R"("9223372036854775807")", "0", "7"}) {
        CHECK_FALSE(of(number, jwt::Subject::decimal));
    }
    for (const char* const wrong :
         {R"("")", R"("07")", R"("+7")", R"("-7")", R"(" 7")", R"("7 ")", R"("0x7")", R"("7.0")",
          R"("7\u0000")", R"("9223372036854775808")", R"("99999999999999999999")", "-7", "7.0",
          "7e1", "9223372036854775808", "true", R"("seven")"}) {
        CHECK(of(wrong, jwt::Subject::decimal) == jwt::Errc::bad_subject);
    }
    CHECK(verdict_of(R"({"exp":1500000100})") == jwt::Errc::bad_subject);
}

TEST_CASE("jwt::Verifier rejects every mutation of a token", "[openssl][jwt_verifier][property]") {
    Random bits{Seed{7}};
    const RsaPair pair{2048};
    const jwt::Verifier hs = verifier_of({}),
                        rs = verifier_of({.algorithm = by_rsa}, {{pair.public_pem()}});
    const std::string tokens[] = {JwtMaker::hs256(good_claims), pair.rs256(good_claims)};
    for (int round = 0; round < 20'000; ++round) {
        const std::size_t which = round % 10 == 0 ? 1 : 0;
        std::string token = tokens[which];
        for (std::uint64_t n = 1 + bits() % 3; n != 0; --n) {
            const std::size_t at = bits() % token.size();
            switch (bits() % 4) {
                case 0:
                    token[at] = static_cast<char>(bits());
                    break;
                case 1:
                    token.erase(at, 1 + bits() % 4);
                    break;
                case 2:
                    token.insert(at, 1, token[bits() % token.size()]);
                    break;
                default:
                    std::swap(token[at], token[bits() % token.size()]);
            }
            if (token.empty()) token = ".";
        }
        if (token == tokens[which]) continue;
        INFO(token);
        REQUIRE(verdict(which == 0 ? hs : rs, token));
    }
}
