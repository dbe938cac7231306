//! The head of the token endpoint: which grant, and may this client use it.

use crate::error::{ErrorCode, OAuthError};
use crate::facts::ClientFacts;
use crate::form::Form;

/// Grants we serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantType {
    /// A code from the authorization endpoint.
    AuthorizationCode,
    /// The client for itself.
    ClientCredentials,
}

impl GrantType {
    /// All of them, for discovery.
    pub const ALL: [Self; 2] = [Self::AuthorizationCode, Self::ClientCredentials];

    /// The registered name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::ClientCredentials => "client_credentials",
        }
    }

    /// Reads `grant_type`; first check of the endpoint (sigma.md 2.3).
    ///
    /// # Errors
    /// `unsupported_grant_type`, naming the value or `undefined`.
    pub fn of(form: &Form<'_>) -> Result<Self, OAuthError> {
        let value = form.get("grant_type").unwrap_or("undefined");
        Self::ALL
            .into_iter()
            .find(|grant| grant.as_str() == value)
            .ok_or_else(|| OAuthError::new(ErrorCode::UnsupportedGrantType, format!("Unsupported grant_type: {value}")))
    }

    /// Checks the client's registration.
    ///
    /// # Errors
    /// `unauthorized_client`.
    pub fn require(self, client: &ClientFacts) -> Result<(), OAuthError> {
        if client.may_use(self.as_str()) {
            Ok(())
        } else {
            Err(OAuthError::new(ErrorCode::UnauthorizedClient, "the client is not registered for this grant"))
        }
    }
}

/// The `resource` parameters of a request, each registered for the client.
///
/// # Errors
/// `invalid_target`.
pub fn resources(form: &Form<'_>, client: &ClientFacts) -> Result<Vec<String>, OAuthError> {
    let mut resources: Vec<String> = Vec::new();
    for name in ["resource", "audience"] {
        for value in form.all(name) {
            if !client.audiences.iter().any(|audience| audience == value) {
                return Err(OAuthError::new(
                    ErrorCode::InvalidTarget,
                    "the resource is unknown or not allowed to this client",
                ));
            }
            if !resources.iter().any(|seen| seen == value) {
                resources.push(value.to_owned());
            }
        }
    }
    Ok(resources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grant_types() {
        fn check(form: &str, expected: Result<GrantType, &str>) {
            let form = Form::parse(form.as_bytes()).unwrap();
            let got = GrantType::of(&form).map_err(|error| error.description.into_owned());
            assert_eq!(got, expected.map_err(str::to_owned));
        }
        check("grant_type=authorization_code", Ok(GrantType::AuthorizationCode));
        check("grant_type=client_credentials", Ok(GrantType::ClientCredentials));
        check("", Err("Unsupported grant_type: undefined"));
        check("grant_type=", Err("Unsupported grant_type: undefined"));
        check("grant_type=password", Err("Unsupported grant_type: password"));
        check("grant_type=Authorization_Code", Err("Unsupported grant_type: Authorization_Code"));
        check("grant_type=%22", Err("Unsupported grant_type: ?"));
    }
}
