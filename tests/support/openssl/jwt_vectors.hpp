// SPDX-License-Identifier: MIT
/// \file tests/support/openssl/jwt_vectors.hpp
/// Tokens from other sources: the examples of RFC 7515, appendices A.1 and A.2, and node's crypto.
#pragma once

#include <string_view>

namespace belay_test::jwt_vectors {

/// Signed with HS256; the secret is in base64url. No `sub`; expires at 1300819380.
inline constexpr std::string_view rfc_hs256 =
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTk"
    "zODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbU"
    "JU1p1r_wW1gFWFOEjXk";
inline constexpr std::string_view rfc_secret =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1"
    "Z9CAow";
/// The same with RS256.
inline constexpr std::string_view rfc_rs256 =
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9"
    "leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2Vt"
    "Qgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKB"
    "YNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN"
    "9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI"
    "8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
inline constexpr std::string_view rfc_public_key =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAofgWCuLjybRlzo0tZWJj\n"
    "NiuSfb4p4fAkd/wWJcyQoTbji9k0l8W26mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEz\n"
    "P1Pt0Bm4d4QlL+yRT+SFd2lZS+pCgNMsD1W/YpRPEwOWvG6b32690r2jZ47soMZo\n"
    "9wGzjb/7OMg0LOL+bSf63kpaSHSXndS5z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTB\n"
    "EMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxX\n"
    "FvUK+DWNmoudF8NAco9/h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXp\n"
    "oQIDAQAB\n"
    "-----END PUBLIC KEY-----\n";

/// Signed with HS256 and the secret "node-secret-of-thirty-two-bytes!": kid k1, sub ann, iss
/// https://id.example, aud board and mail, from 1000000000 to 2000000000.
inline constexpr std::string_view node_hs256 =
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImsxIn0.eyJzdWIiOiJhbm4iLCJpc3MiOiJo"
    "dHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOlsiYm9hcmQiLCJtYWlsIl0sImV4cCI6MjAwMDAwMDAwMCwi"
    "bmJmIjoxMDAwMDAwMDAwLCJuYW1lIjoiQW5uIMOEIn0.LIF2qkohziPEogG-NTcoIxFe7NUJB8LqsqyZ"
    "qv8yX2Q";
/// Signed with RS256: kid rsa-1, sub the number 42, to 2000000000.
inline constexpr std::string_view node_rs256 =
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYS0xIn0.eyJzdWIiOjQyLCJleHAiOjIwMDAwMDAwMDB9.LJx"
    "23FTufLibyEvg9XjnGPr20vq3GWtiBmeEzWT_zWyyn9LPwUhb-6_Y59F18l1kEaF6bPP9uJRO629FXET"
    "cYJREBKfzdY302Qi9U_aaRMmcyYCzEpA4cQya8j1ooH-q6WNqWFpCef20klwkiU33Bu4-7K_ulP2-OS5"
    "49vGIwqZ49-ngIzLxH7lRYxvhXYdR83htVPV_mL0jlOThRcL89Nn7D3ECNPMnRvzVXEVE8KH4den2Ek7"
    "nPMohH-9-cx4CTEcX3_r-imwLyvAaVyFg02umUrAhoUz3WroeaCgpqe3CFKZEm8YGrFKrROiuc2TK509"
    "XTk6Rk19NRhlRw4KpFQ";
inline constexpr std::string_view node_public_key =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAsibhaPMbsLTe3CxSxQ+D\n"
    "aubTd3NVRvZszP+1bkp/iWDo5p3kZN5TmHGyFR0ot/EFtcOhVzXAlrJm8/TU3Tpv\n"
    "32oeg55ACFPym7Hs1zElJI+3rZxM2NPUkeIhiBv8OoMu+ZCGi+75+VYwzmy2OgOE\n"
    "s7kcq2SatnhkSHxgTiBNaxFKiLIdglwIU2PKk6YFf1HXglKs/DoZqPXt96RWmTvz\n"
    "RbRT3QkR9Wm1VLgB/0yGCXqkvJP85rgb7MDrbfIh8EwgtjakiDkaGqomac0lElnI\n"
    "muAR2QKX3Ema+qjgc0EN8cw2feb0ymCno7MizydggW1k5g+2myDylfWw3BRhqTMT\n"
    "UwIDAQAB\n"
    "-----END PUBLIC KEY-----\n";

}  // namespace belay_test::jwt_vectors
